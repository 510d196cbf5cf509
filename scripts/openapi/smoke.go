// Enqueues a job with the client that oapi-codegen made, and waits until it has completed.
package main

import (
	"context"
	"fmt"
	"log"
	"os"

	"smoke/atode"
)

func main() {
	client, err := atode.NewClientWithResponses(os.Args[1])
	if err != nil {
		log.Fatal(err)
	}
	ctx := context.Background()
	payload, delay, key := map[string]any{"message": "from Go"}, "100ms", "go"
	request := atode.JobRequest{Kind: "demo:delay_print", Payload: &payload, Delay: &delay}
	enqueued, err := client.EnqueueJobWithResponse(ctx, &atode.EnqueueJobParams{IdempotencyKey: &key}, request)
	if err != nil || enqueued.JSON201 == nil {
		log.Fatalf("refused: %v %s", err, enqueued.Body)
	}

	wait := "30s"
	found, err := client.GetJobWithResponse(ctx, enqueued.JSON201.Id, &atode.GetJobParams{Wait: &wait})
	if err != nil || found.JSON200 == nil || *found.JSON200.State != atode.JobStateCompleted {
		log.Fatalf("not completed: %v %s", err, found.Body)
	}

	refused, err := client.EnqueueJobWithResponse(ctx, nil, atode.JobRequest{Kind: "no:such"})
	if err != nil || refused.ApplicationproblemJSON422 == nil || (*refused.ApplicationproblemJSON422.Errors)[0].Pointer != "/kind" {
		log.Fatalf("not refused: %v", err)
	}
	fmt.Printf("Go: job %s has completed\n", found.JSON200.Id)
}
