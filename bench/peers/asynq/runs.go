package main

import (
	"fmt"
	"sync"
	"time"
)

// If nothing has run for this long, the remaining tasks will never run.
const patience = 60 * time.Second

// A record of which tasks ran, when, and how often.
type runs struct {
	jobs  int
	mutex sync.Mutex
	count int
	first map[string]time.Time
	last  time.Time
	done  chan struct{}
}

func newRuns(jobs int) *runs {
	return &runs{jobs: jobs, first: make(map[string]time.Time, jobs), done: make(chan struct{})}
}

func (r *runs) note(id string) {
	now := time.Now()
	r.mutex.Lock()
	defer r.mutex.Unlock()
	r.count++
	r.last = now
	if _, ran := r.first[id]; !ran {
		r.first[id] = now
	}
	if r.count == r.jobs {
		close(r.done)
	}
}

// Waits until the number of runs equals the number of jobs. Returns the time from `start` to the last run.
func (r *runs) all(start time.Time) (time.Duration, error) {
	ticker := time.NewTicker(time.Second)
	defer ticker.Stop()
	for {
		select {
		case <-r.done:
			r.mutex.Lock()
			defer r.mutex.Unlock()
			return r.last.Sub(start), nil
		case <-ticker.C:
			r.mutex.Lock()
			count, last := r.count, r.last
			r.mutex.Unlock()
			if last.IsZero() {
				last = start
			}
			if time.Since(last) > patience {
				return 0, fmt.Errorf("%d of %d tasks ran, then none for %s", count, r.jobs, patience)
			}
		}
	}
}

// Fails unless each task ran exactly once. Call it after the worker has stopped.
func (r *runs) once() error {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	if r.count != r.jobs || len(r.first) != r.jobs {
		return fmt.Errorf("%d runs of %d different tasks, of %d", r.count, len(r.first), r.jobs)
	}
	return nil
}
