package highs

import (
	"context"
	"testing"
	"time"
)

func TestEndingBefore(t *testing.T) {
	at := time.Now().Add(time.Hour)
	ctx, cancel := context.WithDeadline(t.Context(), at)
	defer cancel()
	sooner, end := EndingBefore(ctx, time.Minute)
	defer end()
	if got, ok := sooner.Deadline(); !ok || !got.Equal(at.Add(-time.Minute)) {
		t.Errorf("it ends at %v", got)
	}
	free, end := EndingBefore(t.Context(), time.Minute)
	defer end()
	if _, ok := free.Deadline(); ok {
		t.Error("a context without a deadline got one")
	}
}
