// A peer of `atode-bench compare`: asynq. ../README.md describes the runs and the output.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"runtime/debug"
	"sort"
	"sync"
	"time"

	"github.com/hibiken/asynq"
)

const payload = `{"message":"hello world 000000001","t":1700000000000}`

type settings struct {
	redis                                asynq.RedisClientOpt
	jobs, producers, concurrency, spread int
}

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "asynq:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) == 0 {
		return errors.New("say what to measure: enqueue, drain or lateness")
	}
	what, flags := args[0], flag.NewFlagSet(args[0], flag.ContinueOnError)
	redis := flags.String("redis", "", "host:port")
	var s settings
	flags.IntVar(&s.jobs, "jobs", 0, "")
	flags.IntVar(&s.producers, "producers", 64, "")
	flags.IntVar(&s.concurrency, "concurrency", 64, "")
	flags.IntVar(&s.spread, "seconds", 15, "lateness: enqueues are spread over so many")
	if err := flags.Parse(args[1:]); err != nil {
		return err
	}
	if *redis == "" || s.jobs < 1 || s.producers < 1 || s.concurrency < 1 {
		return errors.New("--redis, and --jobs, --producers and --concurrency of at least 1, are needed")
	}
	s.redis = asynq.RedisClientOpt{Addr: *redis}
	client := asynq.NewClient(s.redis)
	defer client.Close()
	inspector := asynq.NewInspector(s.redis)
	defer inspector.Close()
	if info, err := inspector.GetQueueInfo("default"); err == nil && info.Size > 0 {
		return fmt.Errorf("the queue is not empty: %d tasks", info.Size)
	}
	switch what {
	case "enqueue":
		return enqueue(s, client, inspector)
	case "drain":
		return drain(s, client, inspector)
	case "lateness":
		return lateness(s, client, inspector)
	}
	return fmt.Errorf("no such measurement: %s", what)
}

func enqueue(s settings, client *asynq.Client, inspector *asynq.Inspector) error {
	start := time.Now()
	if err := produce(s, client); err != nil {
		return err
	}
	took := time.Since(start)
	info, err := inspector.GetQueueInfo("default")
	if err != nil {
		return err
	}
	if info.Pending != s.jobs {
		return fmt.Errorf("%d tasks wait of %d enqueued", info.Pending, s.jobs)
	}
	return report("enqueue", s.jobs, took, 0, nil)
}

func drain(s settings, client *asynq.Client, inspector *asynq.Inspector) error {
	// asynq has no batch.
	if err := produce(s, client); err != nil {
		return err
	}
	runs := newRuns(s.jobs)
	start := time.Now()
	server, err := serve(s, runs)
	if err != nil {
		return err
	}
	took, err := runs.all(start)
	server.Shutdown()
	if err := errors.Join(err, runs.once(), empty(inspector)); err != nil {
		return err
	}
	return report("drain", s.jobs, took, s.jobs, nil)
}

func lateness(s settings, client *asynq.Client, inspector *asynq.Inspector) error {
	runs := newRuns(s.jobs)
	start := time.Now()
	server, err := serve(s, runs)
	if err != nil {
		return err
	}
	due := make([]map[string]time.Time, s.producers)
	err = share(s, func(producer, jobs int) error {
		due[producer] = make(map[string]time.Time, jobs)
		at := make([]float64, jobs)
		for i := range at {
			at[i] = rand.Float64() * float64(s.spread)
		}
		sort.Float64s(at)
		for _, seconds := range at {
			time.Sleep(time.Until(start.Add(time.Duration(seconds * float64(time.Second)))))
			when := time.Now().Add(3*time.Second + time.Duration(rand.Float64()*float64(time.Second)))
			info, err := client.Enqueue(task(), asynq.ProcessAt(when))
			if err != nil {
				return err
			}
			due[producer][info.ID] = when
		}
		return nil
	})
	if err != nil {
		return err
	}
	took, err := runs.all(start)
	server.Shutdown()
	if err := errors.Join(err, runs.once(), empty(inspector)); err != nil {
		return err
	}
	late := make([]float64, 0, s.jobs)
	for _, part := range due {
		for id, when := range part {
			started, ran := runs.first[id]
			if !ran {
				return fmt.Errorf("task %s never ran", id)
			}
			late = append(late, float64(started.Sub(when).Microseconds())/1e3)
		}
	}
	return report("lateness", s.jobs, took, s.jobs, late)
}

// A worker with the no-op handler. Everything else keeps asynq's defaults.
func serve(s settings, runs *runs) (*asynq.Server, error) {
	config := asynq.Config{Concurrency: s.concurrency, LogLevel: asynq.WarnLevel}
	server := asynq.NewServer(s.redis, config)
	handler := func(ctx context.Context, _ *asynq.Task) error {
		id, _ := asynq.GetTaskID(ctx)
		runs.note(id)
		return nil
	}
	return server, server.Start(asynq.HandlerFunc(handler))
}

func task() *asynq.Task { return asynq.NewTask("bench", []byte(payload)) }

func produce(s settings, client *asynq.Client) error {
	return share(s, func(_, jobs int) error {
		for range jobs {
			if _, err := client.Enqueue(task()); err != nil {
				return err
			}
		}
		return nil
	})
}

// Divides the jobs among concurrent producers.
func share(s settings, produce func(producer, jobs int) error) error {
	errs := make([]error, s.producers)
	var producers sync.WaitGroup
	for n := range s.producers {
		jobs := s.jobs / s.producers
		if n < s.jobs%s.producers {
			jobs++
		}
		producers.Go(func() { errs[n] = produce(n, jobs) })
	}
	producers.Wait()
	return errors.Join(errs...)
}

func empty(inspector *asynq.Inspector) error {
	// Server.Shutdown has waited until its handlers had settled their tasks.
	info, err := inspector.GetQueueInfo("default")
	if err != nil {
		return err
	}
	if info.Size > 0 {
		return fmt.Errorf("%d tasks are left in the queue", info.Size)
	}
	return nil
}

func report(what string, jobs int, took time.Duration, ran int, late []float64) error {
	version := "?"
	if build, ok := debug.ReadBuildInfo(); ok {
		for _, module := range build.Deps {
			if module.Path == "github.com/hibiken/asynq" {
				version = module.Version
			}
		}
	}
	result := map[string]any{
		"peer": "asynq", "version": version, "what": what, "jobs": jobs, "seconds": took.Seconds(),
		"per_second": float64(jobs) / took.Seconds(), "ran": ran, "lost": 0, "twice": 0,
	}
	if late != nil {
		sort.Float64s(late)
		n := len(late)
		percentiles := make([]float64, 101)
		for percent := range percentiles {
			percentiles[percent] = late[min(n*percent/100, n-1)]
		}
		result["lateness_percentiles_ms"] = percentiles
	}
	return json.NewEncoder(os.Stdout).Encode(result)
}
