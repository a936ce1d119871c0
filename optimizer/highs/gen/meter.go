package main

import (
	"bytes"
	"errors"
	"fmt"
)

// meter rewrites a WebAssembly module so that it calls an import each time its loops have gone round `every` times in total:
//
//	loop
//	  counter -= 1
//	  if counter == 0 { counter = every; call import }
//	  …
//
// So the host can count the module's work, stop it, and let Go's garbage collector in, which waits for compiled code otherwise. The
// counter is a new global, after all others; the import must exist and take and return nothing. So no index changes.
//
// It knows the instructions of WebAssembly 2.0 without vectors and fails on any other.
func meter(module []byte, importModule, importName string, every uint32) ([]byte, error) {
	r := &reader{data: module}
	header := r.bytes(8)
	if r.err != nil || !bytes.Equal(header, []byte("\x00asm\x01\x00\x00\x00")) {
		return nil, errors.New("not a WebAssembly 1 module")
	}
	out := append([]byte(nil), header...)
	m := metering{every: every, module: importModule, name: importName, callee: -1, counter: -1}
	for r.err == nil && r.at < len(r.data) {
		id := r.byte()
		body := r.bytes(int(r.unsigned()))
		if r.err != nil {
			break
		}
		section, err := m.section(id, body)
		if err != nil {
			return nil, fmt.Errorf("section %d: %w", id, err)
		}
		out = appendSection(out, id, section)
	}
	return out, r.err
}

const (
	sectionImport = 2
	sectionGlobal = 6
	sectionCode   = 10
)

// metering is what meter learns on its way through the sections, which come in the order of their numbers.
type metering struct {
	every        uint32
	module, name string
	globals      int // imported ones
	callee       int // function index of the import
	counter      int // index of the new global
	loops        int
}

func (m *metering) section(id byte, body []byte) ([]byte, error) {
	switch id {
	case sectionImport:
		return body, m.imports(body)
	case sectionGlobal:
		return m.addGlobal(body)
	case sectionCode:
		if m.callee < 0 || m.counter < 0 {
			return nil, fmt.Errorf("no import %s.%s or no globals before the code", m.module, m.name)
		}
		return m.code(body)
	}
	return body, nil
}

// imports finds the function to call.
func (m *metering) imports(body []byte) error {
	r := &reader{data: body}
	functions := 0
	for n := r.unsigned(); n > 0 && r.err == nil; n-- {
		module, name := r.bytes(int(r.unsigned())), r.bytes(int(r.unsigned()))
		switch kind := r.byte(); kind {
		case 0: // function
			if string(module) == m.module && string(name) == m.name {
				m.callee = functions
			}
			functions++
			r.unsigned()
		case 3: // global
			m.globals++
			r.bytes(2)
		default:
			return fmt.Errorf("import %s.%s of kind %d", module, name, kind)
		}
	}
	return r.err
}

// addGlobal appends the counter.
func (m *metering) addGlobal(body []byte) ([]byte, error) {
	r := &reader{data: body}
	n := r.unsigned()
	m.counter = m.globals + int(n)
	out := appendUnsigned(nil, n+1)
	out = append(out, body[r.at:]...)
	out = append(out, 0x7f, 0x01, 0x41) // i32, mutable, i32.const
	out = appendSigned(out, int64(m.every))
	return append(out, 0x0b), r.err // end
}

// code rewrites every function.
func (m *metering) code(body []byte) ([]byte, error) {
	r := &reader{data: body}
	n := r.unsigned()
	out := appendUnsigned(nil, n)
	for i := range n {
		function, err := m.function(r.bytes(int(r.unsigned())))
		if err = errors.Join(r.err, err); err != nil {
			return nil, fmt.Errorf("function %d: %w", i, err)
		}
		out = append(appendUnsigned(out, uint64(len(function))), function...)
	}
	if r.at != len(body) {
		return nil, fmt.Errorf("%d bytes left over", len(body)-r.at)
	}
	return out, nil
}

// function copies one function's locals and instructions and adds to each loop's head.
func (m *metering) function(body []byte) ([]byte, error) {
	r := &reader{data: body}
	for n := r.unsigned(); n > 0 && r.err == nil; n-- {
		r.unsigned() // so many locals
		r.byte()     // of this type
	}
	head := m.loopHead()
	var out []byte
	copied := 0
	for r.err == nil && r.at < len(body) {
		at := r.at
		op := r.byte()
		if err := r.skipImmediates(op); err != nil {
			return nil, fmt.Errorf("byte %d: %w", at, err)
		}
		if op == opLoop {
			m.loops++
			out = append(append(out, body[copied:r.at]...), head...)
			copied = r.at
		}
	}
	return append(out, body[copied:]...), r.err
}

const opLoop = 0x03

func (m *metering) loopHead() []byte {
	counter := appendUnsigned(nil, uint64(m.counter))
	var b []byte
	b = append(append(b, 0x23), counter...) // global.get
	b = append(b, 0x41, 0x01, 0x6b)         // i32.const 1, i32.sub
	b = append(append(b, 0x24), counter...) // global.set
	b = append(append(b, 0x23), counter...) // global.get
	b = append(b, 0x45, 0x04, 0x40)         // i32.eqz, if without result
	b = appendSigned(append(b, 0x41), int64(m.every))
	b = append(append(b, 0x24), counter...)               // global.set
	b = appendUnsigned(append(b, 0x10), uint64(m.callee)) // call
	return append(b, 0x0b)                                // end
}

// skipImmediates moves past what follows an opcode.
func (r *reader) skipImmediates(op byte) error {
	switch {
	case op == 0x02 || op == opLoop || op == 0x04: // block, loop, if
		r.unsigned() // a block type is a signed number of the same length
	case op == 0x0e: // br_table
		for n := r.unsigned() + 1; n > 0 && r.err == nil; n-- {
			r.unsigned()
		}
	case op == 0x11: // call_indirect
		r.unsigned()
		r.unsigned()
	case op == 0x0c, op == 0x0d, op == 0x10, op >= 0x20 && op <= 0x26, op == 0x3f, op == 0x40, op == 0xd0, op == 0xd2:
		r.unsigned() // one index or label
	case op == 0x41 || op == 0x42: // i32.const, i64.const
		r.unsigned()
	case op == 0x43: // f32.const
		r.bytes(4)
	case op == 0x44: // f64.const
		r.bytes(8)
	case op >= 0x28 && op <= 0x3e: // loads and stores: alignment, offset
		r.unsigned()
		r.unsigned()
	case op == 0x1c: // select with types
		r.bytes(int(r.unsigned()))
	case op == 0xfc:
		return r.skipExtended()
	case op <= 0x01, op == 0x05, op == 0x0b, op == 0x0f, op == 0x1a, op == 0x1b, op >= 0x45 && op <= 0xc4, op == 0xd1:
	default:
		return fmt.Errorf("unknown instruction %#x", op)
	}
	return r.err
}

// skipExtended moves past an instruction of the 0xfc group.
func (r *reader) skipExtended() error {
	sub := r.unsigned()
	switch {
	case sub <= 7: // saturating conversions
	case sub == 8, sub == 10, sub == 12, sub == 14: // memory.init, memory.copy, table.init, table.copy
		r.unsigned()
		r.unsigned()
	case sub == 9, sub == 11, sub == 13, sub >= 15 && sub <= 17:
		r.unsigned()
	default:
		return fmt.Errorf("unknown instruction 0xfc %d", sub)
	}
	return r.err
}

// reader reads WebAssembly's binary form. After an error it stays at the end.
type reader struct {
	data []byte
	at   int
	err  error
}

var errTruncated = errors.New("truncated")

func (r *reader) bytes(n int) []byte {
	if n < 0 || n > len(r.data)-r.at {
		r.err, r.at = errTruncated, len(r.data)
		return nil
	}
	r.at += n
	return r.data[r.at-n : r.at]
}

func (r *reader) byte() byte {
	if b := r.bytes(1); b != nil {
		return b[0]
	}
	return 0
}

// unsigned reads a LEB128 number of up to 64 bits.
func (r *reader) unsigned() uint64 {
	var v uint64
	for shift := 0; shift < 70; shift += 7 {
		b := r.byte()
		v |= uint64(b&0x7f) << shift
		if b < 0x80 {
			return v
		}
	}
	r.err, r.at = errors.New("number too long"), len(r.data)
	return 0
}

func appendUnsigned(b []byte, v uint64) []byte {
	for v >= 0x80 {
		b = append(b, byte(v)|0x80)
		v >>= 7
	}
	return append(b, byte(v))
}

func appendSigned(b []byte, v int64) []byte {
	for v < -64 || v > 63 {
		b = append(b, byte(v)|0x80)
		v >>= 7
	}
	return append(b, byte(v&0x7f))
}

func appendSection(b []byte, id byte, body []byte) []byte {
	return append(appendUnsigned(append(b, id), uint64(len(body))), body...)
}
