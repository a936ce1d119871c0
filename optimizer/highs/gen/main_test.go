package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const script = `TTY.init();wasmExports["v"]();FS.x=1;function assignWasmExports(wasmExports){` +
	`_Highs_create=Module["_Highs_create"]=wasmExports["F"];_Highs_run=Module["_Highs_run"]=wasmExports["N"];` +
	`_free=Module["_free"]=wasmExports["tc"];_malloc=Module["_malloc"]=wasmExports["$a"];` +
	`memory=wasmMemory=wasmExports["u"]}var wasmImports={a:___cxa_throw,s:__emscripten_runtime_keepalive_clear,$:_fd_write};`

func TestParse(t *testing.T) {
	n, err := parse([]byte(script))
	if err != nil {
		t.Fatal(err)
	}
	if n.memory != "u" || n.constructors != "v" || n.exports["Highs_run"] != "N" || n.exports["malloc"] != "$a" ||
		n.imports["cxa_throw"] != "a" || n.imports["fd_write"] != "$" || n.imports[yieldImport] != "s" || len(n.imports) != 3 || len(n.exports) != 4 {
		t.Errorf("%+v", n)
	}
}

func TestParseSaysWhatIsMissing(t *testing.T) {
	for cut, want := range map[string]string{
		"wasmImports": "imports",
		"_Highs_run":  "Highs_run",
		"_malloc":     "malloc",
		"wasmMemory":  "memory",
		"TTY":         "constructors",
		"keepalive":   yieldImport,
	} {
		_, err := parse([]byte(strings.ReplaceAll(script, cut, "x")))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("without %s: %v", cut, err)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(script))
	f.Fuzz(func(t *testing.T, data []byte) {
		if n, err := parse(data); err == nil {
			if _, err := render("1", nil, n); err != nil {
				t.Error(err)
			}
		}
	})
}

func TestRunWithoutPackage(t *testing.T) {
	err := run(filepath.Join(t.TempDir(), "highs"), t.TempDir())
	if err == nil || !strings.Contains(err.Error(), "npm ci") {
		t.Error(err)
	}
}

// TestTableIsCurrent generates from the installed package and compares with what is committed.
func TestTableIsCurrent(t *testing.T) {
	pkg := filepath.Join("..", "..", "..", "node_modules", "highs")
	if _, err := os.Stat(pkg); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal(err)
		}
		t.Skip("the npm package highs is not installed: run `npm ci` first")
	}
	out := t.TempDir()
	if err := os.Mkdir(filepath.Join(out, "wasm"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := run(pkg, out); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(filepath.Join(out, "table_gen.go"))
	if err != nil {
		t.Fatal(err)
	}
	want, err := os.ReadFile(filepath.Join("..", "table_gen.go"))
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Error("table_gen.go is not what the installed package gives: run `go generate ./optimizer/highs` and commit it")
	}
	for _, name := range []string{"LICENSE", "highs.wasm"} {
		if info, err := os.Stat(filepath.Join(out, "wasm", name)); err != nil || info.Size() == 0 {
			t.Errorf("%s: %v", name, err)
		}
	}
}
