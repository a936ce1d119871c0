package highs

import (
	"bytes"
	"context"
	"fmt"
	"math"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
)

// WASI's error numbers, as far as the guest gets to see them.
const (
	errnoBadFile  = 8
	errnoNotFound = 44
	errnoNoTTY    = 59
)

// instanceKey finds the *instance in the context of a call into the guest.
type instanceKey struct{}

// Every call carries one; without it the guest gets a nil pointer's panic, which
// wazero turns into an error.
func instanceOf(ctx context.Context) *instance {
	in, _ := ctx.Value(instanceKey{}).(*instance)
	return in
}

// hostFunc is an import: it reads its arguments from the stack and leaves its result in stack[0].
type hostFunc struct {
	name            string
	call            func(ctx context.Context, stack []uint64)
	params, results []api.ValueType
}

// serveImports makes the host module. The guest has a clock and a log and nothing else: no files, no environment, no timers.
func serveImports(ctx context.Context, rt wazero.Runtime) error {
	const i32, i64, f64 = api.ValueTypeI32, api.ValueTypeI64, api.ValueTypeF64
	builder := rt.NewHostModuleBuilder(importModule)
	for _, f := range []hostFunc{
		{"cxa_throw", hostThrow, []api.ValueType{i32, i32, i32}, nil},
		{"abort_js", hostAbort, nil, nil},
		{"exit", hostAbort, []api.ValueType{i32}, nil},
		{"proc_exit", hostAbort, []api.ValueType{i32}, nil},
		{"emscripten_resize_heap", hostResizeHeap, []api.ValueType{i32}, []api.ValueType{i32}},
		{"emscripten_get_now", hostNowMillis, nil, []api.ValueType{f64}},
		{"emscripten_date_now", hostNowMillis, nil, []api.ValueType{f64}},
		{"clock_time_get", hostClockTime, []api.ValueType{i32, i64, i32}, []api.ValueType{i32}},
		{"fd_write", hostWrite, []api.ValueType{i32, i32, i32, i32}, []api.ValueType{i32}},
		{"fd_read", hostReturn(errnoBadFile), []api.ValueType{i32, i32, i32, i32}, []api.ValueType{i32}},
		{"fd_seek", hostReturn(errnoBadFile), []api.ValueType{i32, i64, i32, i32}, []api.ValueType{i32}},
		{"fd_close", hostReturn(errnoBadFile), []api.ValueType{i32}, []api.ValueType{i32}},
		{"syscall_openat", hostReturn(-errnoNotFound), []api.ValueType{i32, i32, i32, i32}, []api.ValueType{i32}},
		{"syscall_ioctl", hostReturn(-errnoNoTTY), []api.ValueType{i32, i32, i32}, []api.ValueType{i32}},
		{"syscall_fcntl64", hostReturn(-errnoBadFile), []api.ValueType{i32, i32, i32}, []api.ValueType{i32}},
		{"environ_sizes_get", hostEnvironSizes, []api.ValueType{i32, i32}, []api.ValueType{i32}},
		{"environ_get", hostReturn(0), []api.ValueType{i32, i32}, []api.ValueType{i32}},
		{"setitimer_js", hostReturn(0), []api.ValueType{i32, f64}, []api.ValueType{i32}},
		{"tzset_js", hostNothing, []api.ValueType{i32, i32, i32, i32}, nil},
		{yieldImport, hostYield, nil, nil},
	} {
		minified, ok := importNames[f.name]
		if !ok {
			return fmt.Errorf("%w: no import %s", ErrWrongModule, f.name)
		}
		builder.NewFunctionBuilder().WithName(f.name).
			WithGoFunction(api.GoFunc(f.call), f.params, f.results).Export(minified)
	}
	_, err := builder.Instantiate(ctx)
	return err
}

// hostYield is what the meter in the guest's loops calls (gen/meter.go).
func hostYield(ctx context.Context, _ []uint64) { instanceOf(ctx).yield(ctx) }

func hostNothing(context.Context, []uint64) {}

func hostReturn(code int32) func(context.Context, []uint64) {
	return func(_ context.Context, stack []uint64) { stack[0] = api.EncodeI32(code) }
}

// hostThrow ends the instance on a C++ exception: the module is compiled without handlers. The exception's type is the one word about
// it that can be had; running out of memory has types of its own.
func hostThrow(ctx context.Context, stack []uint64) {
	inst := instanceOf(ctx)
	// std::type_info is {virtual table, name}.
	name := "unknown"
	if at, ok := inst.mem.ReadUint32Le(uint32(stack[1]) + 4); ok {
		name = inst.cString(at)
	}
	switch name {
	case "St9bad_alloc", "St12length_error", "St20bad_array_new_length":
		panic(fmt.Errorf("%w: C++ exception %s", ErrMemory, name))
	}
	panic(fmt.Errorf("%w: C++ exception %s", ErrCrash, name))
}

func hostAbort(context.Context, []uint64) { panic(fmt.Errorf("%w: abort", ErrCrash)) }

// hostResizeHeap grows the memory by a fifth, so that growing costs little, or else by what was asked for. The guest cannot handle
// a refusal, so that ends the instance.
func hostResizeHeap(ctx context.Context, stack []uint64) {
	inst := instanceOf(ctx)
	wanted, size := uint64(uint32(stack[0])), uint64(inst.mem.Size())
	for _, target := range []uint64{max(wanted, size+size/5), wanted} {
		pages := (target + pageBytes - 1) / pageBytes
		if have := size / pageBytes; pages > have {
			if _, ok := inst.mem.Grow(uint32(pages - have)); !ok {
				continue
			}
		}
		stack[0] = 1
		return
	}
	panic(fmt.Errorf("%w: limit is %d MiB", ErrMemory, inst.rt.limitMiB))
}

func hostNowMillis(ctx context.Context, stack []uint64) {
	stack[0] = math.Float64bits(float64(instanceOf(ctx).clock.read()) / 1e6)
}

func hostClockTime(ctx context.Context, stack []uint64) {
	inst := instanceOf(ctx)
	inst.mem.WriteUint64Le(uint32(stack[2]), inst.clock.read())
	stack[0] = 0
}

func hostEnvironSizes(ctx context.Context, stack []uint64) {
	mem := instanceOf(ctx).mem
	mem.WriteUint32Le(uint32(stack[0]), 0)
	mem.WriteUint32Le(uint32(stack[1]), 0)
	stack[0] = 0
}

// hostWrite takes HiGHS's log, whatever the file descriptor, and passes it on by whole lines.
func hostWrite(ctx context.Context, stack []uint64) {
	inst := instanceOf(ctx)
	iov, count, written := uint32(stack[1]), uint32(stack[2]), uint32(stack[3])
	total := uint32(0)
	for i := range count {
		at, _ := inst.mem.ReadUint32Le(iov + 8*i)
		n, _ := inst.mem.ReadUint32Le(iov + 8*i + 4)
		if text, ok := inst.mem.Read(at, n); ok && inst.rt.logger != nil {
			inst.line = append(inst.line, text...)
		}
		total += n
	}
	for {
		end := bytes.IndexByte(inst.line, '\n')
		if end < 0 {
			break
		}
		if line := bytes.TrimRight(inst.line[:end], " \r"); len(line) > 0 {
			inst.rt.logger.DebugContext(ctx, "highs", "line", string(line))
		}
		inst.line = inst.line[end+1:]
	}
	inst.line = append([]byte(nil), inst.line...)
	inst.mem.WriteUint32Le(written, total)
	stack[0] = 0
}
