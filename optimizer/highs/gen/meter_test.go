package main

import (
	"context"
	"testing"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
)

// countdown is a hand-made module: f(n) goes round a loop n times, and in each round m = 3 times round an inner one, and returns how
// often it did so in all.
//
//	(import "h" "other" (func))  (import "h" "yield" (func))  (global (mut i32) 7)
//	(func (export "f") (param i32) (result i32) (local i32 i32) …)
func countdown() []byte {
	body := []byte{
		0x01, 0x02, 0x7f, // two locals: inner counter, sum
		0x03, 0x40, // loop
		0x41, 0x03, 0x21, 0x01, // inner = 3
		0x03, 0x40, // loop
		0x20, 0x02, 0x41, 0x01, 0x6a, 0x21, 0x02, // sum++
		0x20, 0x01, 0x41, 0x01, 0x6b, 0x22, 0x01, // inner--
		0x0d, 0x00, 0x0b, // br_if 0, end
		0x20, 0x00, 0x41, 0x01, 0x6b, 0x22, 0x00, // n--
		0x0d, 0x00, 0x0b, // br_if 0, end
		0x20, 0x02, 0x0b, // sum, end
	}
	var m []byte
	m = append(m, 0, 'a', 's', 'm', 1, 0, 0, 0)
	m = appendSection(m, 1, []byte{2, 0x60, 0, 0, 0x60, 1, 0x7f, 1, 0x7f})
	m = appendSection(m, 2, []byte("\x02\x01h\x05other\x00\x00\x01h\x05yield\x00\x00"))
	m = appendSection(m, 3, []byte{1, 1})
	m = appendSection(m, 6, []byte{1, 0x7f, 1, 0x41, 7, 0x0b})
	m = appendSection(m, 7, []byte{1, 1, 'f', 0, 2})
	code := append([]byte{1}, appendUnsigned(nil, uint64(len(body)))...)
	return appendSection(m, 10, append(code, body...))
}

// TestMeterCounts: the metered module returns what the module does, and calls once in `every` rounds.
func TestMeterCounts(t *testing.T) {
	ctx := context.Background()
	for _, every := range []uint32{1, 2, 7, 64, 100, 16384} {
		module, err := meter(countdown(), "h", "yield", every)
		if err != nil {
			t.Fatal(err)
		}
		r := wazero.NewRuntime(ctx)
		yields, others := 0, 0
		count := func(n *int) api.GoFunc { return func(context.Context, []uint64) { *n++ } }
		host := r.NewHostModuleBuilder("h")
		host.NewFunctionBuilder().WithGoFunction(count(&others), nil, nil).Export("other")
		host.NewFunctionBuilder().WithGoFunction(count(&yields), nil, nil).Export("yield")
		if _, err := host.Instantiate(ctx); err != nil {
			t.Fatal(err)
		}
		mod, err := r.Instantiate(ctx, module)
		if err != nil {
			t.Fatal(err)
		}
		got, err := mod.ExportedFunction("f").Call(ctx, 1000)
		if err != nil || got[0] != 3000 {
			t.Errorf("every %d: %v %v", every, got, err)
		}
		// A loop's head is passed once on entry and once for each branch back: 1000 outer and 3000 inner rounds.
		if want := 4000 / int(every); yields != want || others != 0 {
			t.Errorf("every %d: %d yields, want %d; %d calls of the other import", every, yields, want, others)
		}
		if err := r.Close(ctx); err != nil {
			t.Fatal(err)
		}
	}
}

func TestMeterRefuses(t *testing.T) {
	good := countdown()
	for name, module := range map[string][]byte{
		"nothing":     nil,
		"text":        []byte("not a module"),
		"cut":         good[:len(good)-3],
		"no globals":  append(append([]byte(nil), good[:8]...), appendSection(nil, 10, []byte{0})...),
		"instruction": replaceLast(good, 0x6b, 0xfd),
	} {
		if _, err := meter(module, "h", "yield", 5); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	if _, err := meter(good, "h", "nobody", 5); err == nil {
		t.Error("no import: no error")
	}
}

func replaceLast(b []byte, from, to byte) []byte {
	out := append([]byte(nil), b...)
	for i := len(out) - 1; i >= 0; i-- {
		if out[i] == from {
			out[i] = to
			break
		}
	}
	return out
}

// FuzzMeter: whatever comes in, meter ends with an error or with a module that it can read again.
func FuzzMeter(f *testing.F) {
	f.Add(countdown())
	f.Fuzz(func(t *testing.T, data []byte) {
		out, err := meter(data, "h", "yield", 100)
		if err != nil {
			return
		}
		if _, err := meter(out, "h", "yield", 100); err != nil {
			t.Error(err)
		}
	})
}
