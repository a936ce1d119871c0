package optimizer

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"purser/optimizer/highs"
)

var (
	sharedOnce    sync.Once
	sharedRuntime *highs.Runtime
	errShared     error
)

// solver gives the compiled solver, one for all tests.
func solver(t testing.TB) *highs.Runtime {
	t.Helper()
	sharedOnce.Do(func() {
		sharedRuntime, errShared = highs.New(context.Background(), highs.Config{CacheDir: filepath.Join(os.TempDir(), "purser-test-solver")})
	})
	if errors.Is(errShared, highs.ErrNoModule) && os.Getenv("CI") == "" {
		t.Skip("the solver is not built in; run `make build`")
	}
	if errShared != nil {
		t.Fatal(errShared)
	}
	return sharedRuntime
}
