package highs

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"strings"

	"github.com/tetratelabs/wazero/api"
)

// errClosed is why an instance is dead after Close.
var errClosed = errors.New("closed")

// instance is one running copy of the module with a memory of its own. After the first error of a call it is dead.
type instance struct {
	rt       *Runtime
	mod      api.Module
	mem      api.Memory
	ctx      context.Context //nolint:containedctx // of calls that cannot take long; it carries the instance to the imports
	funcs    map[string]api.Function
	names    map[string]uint32 // C strings that stay in the guest's memory
	clock    clock
	line     []byte     // a piece of log without its line end
	dead     error      // why calls are refused
	stack    [24]uint64 // arguments of a call, reused
	block    uint32     // address of the guest's buffer for arguments and results
	blockLen uint32     // its bytes
}

// yield is called from the guest's loops: it counts their work, and ends the guest when the call's context or the Runtime has ended.
func (in *instance) yield(ctx context.Context) {
	if err := ctx.Err(); err != nil {
		panic(err)
	}
	if in.rt.closing.Load() {
		panic(ErrDead)
	}
	in.clock.tick()
}

// call runs an exported C function. An error is final: it tells why the instance is dead.
func (in *instance) call(ctx context.Context, name string, args ...uint64) (uint64, error) {
	// Close waits for calls to end, because it takes away the code that they run.
	in.rt.busy.RLock()
	defer in.rt.busy.RUnlock()
	if in.dead == nil && in.rt.closing.Load() {
		in.dead = errClosed
	}
	if in.dead != nil {
		return 0, fmt.Errorf("%w: %w", ErrDead, in.dead)
	}
	f := in.funcs[name]
	if f == nil {
		if f = in.mod.ExportedFunction(exportNames[name]); f == nil {
			return 0, fmt.Errorf("%w: no function %s", ErrWrongModule, name)
		}
		in.funcs[name] = f
	}
	copy(in.stack[:], args)
	err := f.CallWithStack(ctx, in.stack[:])
	if err == nil {
		return in.stack[0], nil
	}
	in.dead = cause(ctx, name, err)
	return 0, in.dead
}

// cause makes one short error of what wazero says, which is many lines with the guest's stack.
func cause(ctx context.Context, name string, err error) error {
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.Is(err, ErrMemory):
		return fmt.Errorf("%w (in %s)", ErrMemory, name)
	case errors.Is(err, ErrDead):
		return fmt.Errorf("%w: with its runtime (in %s)", ErrDead, name)
	}
	first, _, _ := strings.Cut(err.Error(), "\n")
	return fmt.Errorf("%w: %s (in %s)", ErrCrash, first, name)
}

// cString reads a string that ends with a zero byte; at most 200 bytes of it.
func (in *instance) cString(at uint32) string {
	var out []byte
	for len(out) < 200 {
		c, ok := in.mem.ReadByte(at + uint32(len(out)))
		if !ok || c == 0 {
			break
		}
		out = append(out, c)
	}
	return string(out)
}

// name is the address of a C string that stays.
func (in *instance) name(s string) (uint32, error) {
	if at, ok := in.names[s]; ok {
		return at, nil
	}
	at, err := in.malloc(uint32(len(s)) + 1)
	if err != nil {
		return 0, err
	}
	in.mem.Write(at, append([]byte(s), 0))
	in.names[s] = at
	return at, nil
}

func (in *instance) malloc(bytes uint32) (uint32, error) {
	at, err := in.call(in.ctx, "malloc", uint64(bytes))
	if err == nil && at == 0 {
		in.dead = fmt.Errorf("%w: malloc of %d bytes", ErrMemory, bytes)
		err = in.dead
	}
	return uint32(at), err
}

// reserve makes the guest's buffer at least so many bytes long and returns its address. What was in it is lost.
func (in *instance) reserve(bytes int) (uint32, error) {
	if bytes > math.MaxInt32 {
		return 0, fmt.Errorf("%w: %d bytes of arguments", ErrInvalid, bytes)
	}
	if uint32(bytes) <= in.blockLen {
		return in.block, nil
	}
	if in.block != 0 {
		if _, err := in.call(in.ctx, "free", uint64(in.block)); err != nil {
			return 0, err
		}
		in.block, in.blockLen = 0, 0
	}
	size := uint32(bytes) + uint32(bytes)/4
	at, err := in.malloc(size)
	if err != nil {
		return 0, err
	}
	in.block, in.blockLen = at, size
	return at, nil
}

// buffer fills or reads the guest's buffer front to back. Doubles come first: they need an address that is a multiple of 8.
type buffer struct {
	in *instance
	at uint32
}

// open reserves room for so many doubles and int32s.
func (in *instance) open(doubles, ints int) (buffer, error) {
	at, err := in.reserve(8*doubles + 4*ints)
	return buffer{in: in, at: at}, err
}

// bytes is the next n bytes of the buffer, as a view.
func (b *buffer) bytes(n int) (uint32, []byte) {
	at := b.at
	view, _ := b.in.mem.Read(at, uint32(n))
	b.at += uint32(n)
	return at, view
}

// putDoubles writes v and returns its address.
func (b *buffer) putDoubles(v []float64) uint64 {
	at, view := b.bytes(8 * len(v))
	for i, x := range v {
		binary.LittleEndian.PutUint64(view[8*i:], math.Float64bits(x))
	}
	return uint64(at)
}

// putInts writes v and returns its address.
func (b *buffer) putInts(v []int32) uint64 {
	at, view := b.bytes(4 * len(v))
	for i, x := range v {
		binary.LittleEndian.PutUint32(view[4*i:], uint32(x))
	}
	return uint64(at)
}

// skip leaves room for n results of so many bytes each and returns its address.
func (b *buffer) skip(n, size int) uint64 {
	at := b.at
	b.at += uint32(n * size)
	return uint64(at)
}

// doubles reads n float64s at an address that skip returned.
func (in *instance) doubles(at uint64, n int) []float64 {
	view, _ := in.mem.Read(uint32(at), uint32(8*n))
	out := make([]float64, n)
	for i := range out {
		out[i] = math.Float64frombits(binary.LittleEndian.Uint64(view[8*i:]))
	}
	return out
}

// ints reads n int32s at an address that skip returned.
func (in *instance) ints(at uint64, n int) []int32 {
	view, _ := in.mem.Read(uint32(at), uint32(4*n))
	out := make([]int32, n)
	for i := range out {
		out[i] = int32(binary.LittleEndian.Uint32(view[4*i:]))
	}
	return out
}

// close frees the instance's memory.
func (in *instance) close() error { return in.mod.Close(context.Background()) }
