package highs

import (
	"context"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/experimental"
)

//go:generate go run ./gen

// wasmFiles always holds a README; `make build` adds the module.
//
//go:embed wasm
var wasmFiles embed.FS

const (
	mebibyte         = 1 << 20
	pageBytes        = 65536
	defaultMemoryMiB = 2048
	// minMemoryMiB is what the module needs to start.
	minMemoryMiB = 24
)

// Runtime is the compiled module. It is safe for concurrent use.
type Runtime struct {
	rt       wazero.Runtime
	cache    wazero.CompilationCache // nil: none
	module   wazero.CompiledModule
	version  string
	limitMiB int
	logger   *slog.Logger
	slots    chan struct{} // one token for each open Solver
	closed   chan struct{} // closed when closing is set
	closing  atomic.Bool
	busy     sync.RWMutex // read-locked by each call into an instance
}

// New compiles the module: seconds, or about 0.1 s when Config.CacheDir has it. It returns ErrNoModule when the binary was built without
// the module, and ErrWrongModule when the module is another version than the table's. A damaged
// cache is made anew; one that cannot be used is a warning in Config.Logger.
func New(ctx context.Context, cfg Config) (*Runtime, error) {
	code, err := readModule(wasmFiles)
	if err != nil {
		return nil, err
	}
	if cfg.MemoryLimitMiB == 0 {
		cfg.MemoryLimitMiB = defaultMemoryMiB
	}
	if cfg.MemoryLimitMiB < minMemoryMiB || cfg.MemoryLimitMiB > defaultMemoryMiB {
		return nil, fmt.Errorf("%w: memory limit of %d MiB is not between %d and %d", ErrInvalid, cfg.MemoryLimitMiB, minMemoryMiB, defaultMemoryMiB)
	}
	if cfg.Instances < 0 {
		return nil, fmt.Errorf("%w: %d instances", ErrInvalid, cfg.Instances)
	}
	if cfg.Instances == 0 {
		cfg.Instances = runtime.GOMAXPROCS(0)
	}
	r := &Runtime{
		limitMiB: cfg.MemoryLimitMiB,
		slots:    make(chan struct{}, cfg.Instances),
		closed:   make(chan struct{}),
	}
	if cfg.Logger != nil && cfg.Logger.Enabled(ctx, slog.LevelDebug) {
		r.logger = cfg.Logger
	}
	if err := r.compile(ctx, code, cfg); err != nil {
		return nil, err
	}
	if err := r.check(ctx); err != nil {
		return nil, errors.Join(err, r.Close(ctx))
	}
	return r, nil
}

// readModule returns the embedded module once its checksum fits the table.
func readModule(files fs.FS) ([]byte, error) {
	code, err := fs.ReadFile(files, "wasm/highs.wasm")
	if errors.Is(err, fs.ErrNotExist) {
		return nil, ErrNoModule
	}
	if err != nil {
		return nil, fmt.Errorf("highs: reading the module: %w", err)
	}
	if sum := sha256.Sum256(code); hex.EncodeToString(sum[:]) != moduleSHA256 {
		return nil, ErrWrongModule
	}
	return code, nil
}

// compile compiles with the cache folder. What a damaged cache says cannot be told from other errors: the second try has an empty one.
// The third does without, which only costs time.
func (r *Runtime) compile(ctx context.Context, code []byte, cfg Config) error {
	if cfg.CacheDir != "" {
		// A folder of our own, so that emptying it hurts nobody else.
		dir := filepath.Join(cfg.CacheDir, "highs-"+packageVersion)
		var errs []error
		for range 2 {
			err := os.MkdirAll(dir, 0o700)
			if err == nil {
				err = r.compileOnce(ctx, code, dir)
			}
			if err == nil || ctx.Err() != nil {
				return err
			}
			errs = append(errs, err, os.RemoveAll(dir))
		}
		if cfg.Logger != nil {
			cfg.Logger.WarnContext(ctx, "solver's cache cannot be used", "dir", dir, "error", errors.Join(errs...))
		}
	}
	return r.compileOnce(ctx, code, "")
}

// compileOnce makes the wazero runtime with the compiled module and the host's functions, or leaves nothing behind.
func (r *Runtime) compileOnce(ctx context.Context, code []byte, dir string) (err error) {
	// The module is not compiled with wazero's WithCloseOnContextDone: that leaves compiled code at each round of each loop and makes
	// it five times slower. The meter of gen/meter.go does the same each 16,384 rounds, for about a tenth.
	cfg := wazero.NewRuntimeConfig().
		WithMemoryLimitPages(uint32(r.limitMiB * mebibyte / pageBytes)).
		WithDebugInfoEnabled(false)
	r.cache = nil
	if dir != "" {
		if r.cache, err = wazero.NewCompilationCacheWithDir(dir); err != nil {
			return fmt.Errorf("highs: cache folder: %w", err)
		}
		cfg = cfg.WithCompilationCache(r.cache)
	}
	r.rt = wazero.NewRuntimeWithConfig(ctx, cfg)
	workers := experimental.WithCompilationWorkers(ctx, runtime.GOMAXPROCS(0))
	if r.module, err = r.rt.CompileModule(workers, code); err == nil {
		err = serveImports(ctx, r.rt)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("highs: compiling the module: %w", err), r.free(ctx))
	}
	return nil
}

// check starts the module once and asks for its version.
func (r *Runtime) check(ctx context.Context) error {
	s, err := r.NewSolver(ctx)
	if err != nil {
		return err
	}
	defer s.Close()
	at, err := s.in.call(s.in.ctx, "Highs_version")
	if err != nil {
		return err
	}
	r.version = s.in.cString(uint32(at))
	return nil
}

// Version is HiGHS's own version.
func (r *Runtime) Version() string { return r.version }

// Close ends the Runtime with every Solver that is still open, in the middle of a Run too. It may be called twice.
func (r *Runtime) Close(ctx context.Context) error {
	if r.closing.Swap(true) {
		return nil
	}
	close(r.closed)
	r.busy.Lock()
	defer r.busy.Unlock()
	return r.free(ctx)
}

func (r *Runtime) free(ctx context.Context) error {
	err := r.rt.Close(ctx)
	if r.cache != nil {
		err = errors.Join(err, r.cache.Close(ctx))
	}
	return err
}

// NewSolver starts an instance with an empty model, within about 2 ms. It waits while Config.Instances Solvers are open, until ctx
// ends: so a goroutine that holds one should not ask for another.
func (r *Runtime) NewSolver(ctx context.Context) (*Solver, error) {
	select {
	case r.slots <- struct{}{}:
	case <-r.closed:
		return nil, ErrDead
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	s := &Solver{rt: r}
	err := s.boot(ctx)
	if err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// instantiate starts a copy of the module and runs its constructors.
func (r *Runtime) instantiate(ctx context.Context) (*instance, error) {
	r.busy.RLock()
	defer r.busy.RUnlock()
	if r.closing.Load() {
		return nil, ErrDead
	}
	in := &instance{
		rt:    r,
		funcs: map[string]api.Function{},
		names: map[string]uint32{},
	}
	// Anonymous, so that many can live in one runtime; no start function, since emscripten's constructors have another name.
	mod, err := r.rt.InstantiateModule(ctx, r.module, wazero.NewModuleConfig().WithName("").WithStartFunctions())
	if err != nil {
		return nil, fmt.Errorf("highs: starting the module: %w", err)
	}
	in.mod, in.mem = mod, mod.ExportedMemory(exportMemory)
	in.ctx = context.WithValue(context.Background(), instanceKey{}, in)
	in.clock.start(0, noDeadline)
	start := mod.ExportedFunction(exportConstructors)
	if in.mem == nil || start == nil {
		return in, fmt.Errorf("%w: no memory or no constructors", ErrWrongModule)
	}
	if _, err := start.Call(in.ctx); err != nil {
		return in, cause(in.ctx, "constructors", err)
	}
	return in, nil
}
