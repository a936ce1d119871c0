package highs

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
)

func TestMissingModule(t *testing.T) {
	if _, err := readModule(fstest.MapFS{"wasm/README.md": {}}); !errors.Is(err, ErrNoModule) || !strings.Contains(err.Error(), "make build") {
		t.Errorf("%v", err)
	}
	if _, err := readModule(fstest.MapFS{"wasm/highs.wasm": {Data: []byte("another")}}); !errors.Is(err, ErrWrongModule) {
		t.Errorf("%v", err)
	}
}

// TestEveryNameIsThere looks up all exports of the table, used or not.
func TestEveryNameIsThere(t *testing.T) {
	s := newSolver(t, testRuntime(t))
	for name, export := range exportNames {
		if s.in.mod.ExportedFunction(export) == nil {
			t.Errorf("%s: no export %q", name, export)
		}
	}
	if v := s.rt.Version(); !strings.HasPrefix(v, "1.") {
		t.Errorf("version %q", v)
	}
}

func solveOnce(t *testing.T, r *Runtime) {
	t.Helper()
	s := newSolver(t, r)
	must(t, s.AddCols(Columns{Cost: []float64{1}, Lower: []float64{2}, Upper: []float64{3}}))
	wantNear(t, "objective", []float64{run(t, s, Limits{}).Objective}, 2)
}

// cachedCode is the one large file under the cache folder.
func cachedCode(t *testing.T, dir string) string {
	t.Helper()
	var found string
	must(t, filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			found = path
		}
		return err
	}))
	return found
}

func TestDamagedCacheIsMadeAnew(t *testing.T) {
	testRuntime(t) // has filled cacheDir
	dir := t.TempDir()
	must(t, os.CopyFS(dir, os.DirFS(cacheDir)))
	path := cachedCode(t, dir)
	whole, err := os.ReadFile(path)
	must(t, err)
	damaged := bytes.Clone(whole)
	damaged[len(damaged)/2] ^= 1
	for name, data := range map[string][]byte{"bit": damaged, "cut": whole[:len(whole)/3]} {
		must(t, os.WriteFile(path, data, 0o600))
		var log bytes.Buffer
		solveOnce(t, newRuntime(t, Config{CacheDir: dir, Logger: slog.New(slog.NewTextHandler(&log, nil))}))
		if log.Len() != 0 {
			t.Errorf("%s: warned of a cache that could be mended: %s", name, log.String())
		}
		if now, err := os.ReadFile(path); err != nil || !bytes.Equal(now, whole) {
			t.Errorf("%s: not mended (%v)", name, err)
		}
	}
}

func TestUnusableCacheIsAWarning(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	must(t, os.WriteFile(file, nil, 0o600))
	var log bytes.Buffer
	solveOnce(t, newRuntime(t, Config{CacheDir: file, Logger: slog.New(slog.NewTextHandler(&log, nil))}))
	if n := strings.Count(log.String(), "cache cannot be used"); n != 1 {
		t.Errorf("%d warnings: %s", n, log.String())
	}
}

func TestCompilingStopsWithItsContext(t *testing.T) {
	_, err := readModule(wasmFiles)
	skipWithoutModule(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if r, err := New(ctx, Config{}); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
		if err == nil {
			must(t, r.Close(context.Background()))
		}
	}
}
