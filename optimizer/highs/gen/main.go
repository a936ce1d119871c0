// Command gen brings the solver's module from the npm package `highs` into the build.
//
// It copies highs.wasm, with a meter in its loops (see meter.go), and its licence to ../wasm (not committed) and writes ../table_gen.go (committed): the module's names are
// minified, and build/highs.js holds what they mean. Run it with `go generate ./optimizer/highs` after `npm ci`.
//
// It fails with one sentence when the package is missing or when highs.js is not written as expected; it then leaves every file as it was.
package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"go/format"
	"os"
	"path/filepath"
	"regexp"
	"sort"
)

const (
	// importModule is the module that all imports belong to.
	importModule = "a"
	// yieldImport takes and returns nothing and is never called in this module's life (it serves emscripten's exit), so metering may have it.
	yieldImport = "emscripten_runtime_keepalive_clear"
	// loopsPerYield is the unit of work: about a tenth of a millisecond.
	loopsPerYield = 16384
)

func main() {
	pkg := flag.String("package", filepath.Join("..", "..", "node_modules", "highs"), "folder of the npm package highs")
	out := flag.String("out", ".", "folder of the Go package")
	flag.Parse()
	if err := run(*pkg, *out); err != nil {
		fmt.Fprintln(os.Stderr, "gen:", err)
		os.Exit(1)
	}
}

// run does all of the command's work.
func run(pkg, out string) error {
	version, err := packageVersion(filepath.Join(pkg, "package.json"))
	if errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("the npm package highs is missing (%s); run `npm ci` in the repository's root", pkg)
	}
	if err != nil {
		return err
	}
	script, err := os.ReadFile(filepath.Join(pkg, "build", "highs.js"))
	if err != nil {
		return err
	}
	module, err := os.ReadFile(filepath.Join(pkg, "build", "highs.wasm"))
	if err != nil {
		return err
	}
	licence, err := os.ReadFile(filepath.Join(pkg, "LICENSE"))
	if err != nil {
		return err
	}
	names, err := parse(script)
	if err != nil {
		return fmt.Errorf("highs %s, build/highs.js: %w", version, err)
	}
	if module, err = meter(module, importModule, names.imports[yieldImport], loopsPerYield); err != nil {
		return fmt.Errorf("highs %s, build/highs.wasm: %w", version, err)
	}
	table, err := render(version, module, names)
	if err != nil {
		return err
	}
	return errors.Join(
		write(filepath.Join(out, "table_gen.go"), table),
		write(filepath.Join(out, "wasm", "LICENSE"), licence),
		write(filepath.Join(out, "wasm", "highs.wasm"), module),
	)
}

func packageVersion(path string) (string, error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return "", err
	}
	var meta struct{ Version string }
	if err := json.Unmarshal(raw, &meta); err != nil {
		return "", fmt.Errorf("%s: %w", path, err)
	}
	if meta.Version == "" {
		return "", fmt.Errorf("%s: no version", path)
	}
	return meta.Version, nil
}

// names says what the module's minified names mean.
type names struct {
	constructors string            // export that runs the C++ constructors
	memory       string            // export of the memory
	exports      map[string]string // C name → export
	imports      map[string]string // C name, without leading underscores → import
}

var (
	importTable  = regexp.MustCompile(`wasmImports=\{([^}]*)\}`)
	importEntry  = regexp.MustCompile(`(?:^|,)([A-Za-z0-9_$]+):_*([A-Za-z0-9_]+)`)
	highsExport  = regexp.MustCompile(`Module\["_(Highs_[A-Za-z0-9_]+)"\]=wasmExports\["([^"]+)"\]`)
	heapExport   = regexp.MustCompile(`Module\["_(malloc|free)"\]=wasmExports\["([^"]+)"\]`)
	memoryExport = regexp.MustCompile(`wasmMemory=wasmExports\["([^"]+)"\]`)
	startExport  = regexp.MustCompile(`TTY\.init\(\);wasmExports\["([^"]+)"\]\(\)`)
)

// parse reads the two tables out of highs.js.
func parse(script []byte) (names, error) {
	n := names{exports: map[string]string{}, imports: map[string]string{}}
	table := importTable.FindSubmatch(script)
	if table == nil {
		return n, errors.New("no table of imports (wasmImports={…})")
	}
	for _, m := range importEntry.FindAllSubmatch(table[1], -1) {
		n.imports[string(m[2])] = string(m[1])
	}
	for _, re := range []*regexp.Regexp{highsExport, heapExport} {
		for _, m := range re.FindAllSubmatch(script, -1) {
			n.exports[string(m[1])] = string(m[2])
		}
	}
	if n.imports[yieldImport] == "" {
		return n, fmt.Errorf("no import %s", yieldImport)
	}
	for _, want := range []string{"malloc", "free", "Highs_create", "Highs_run"} {
		if n.exports[want] == "" {
			return n, fmt.Errorf("no export %s", want)
		}
	}
	memory, start := memoryExport.FindSubmatch(script), startExport.FindSubmatch(script)
	if memory == nil {
		return n, errors.New("no exported memory (wasmMemory=wasmExports[…])")
	}
	if start == nil {
		return n, errors.New("no constructors (wasmExports[…]() after TTY.init())")
	}
	n.memory, n.constructors = string(memory[1]), string(start[1])
	return n, nil
}

// render writes the table as Go source.
func render(version string, module []byte, n names) ([]byte, error) {
	var b bytes.Buffer
	fmt.Fprintf(&b, "// Code generated by optimizer/highs/gen from the npm package highs %s. DO NOT EDIT.\n\npackage highs\n\n", version)
	fmt.Fprintf(&b, "// The npm package's version, the metered module's SHA-256, the rounds of loops between two yields, the module that all imports\n"+
		"// belong to and the import that yields, and the exports that have no C name.\nconst (\n")
	fmt.Fprintf(&b, "packageVersion = %q\nmoduleSHA256 = \"%x\"\nloopsPerYield = %d\nimportModule = %q\nyieldImport = %q\n",
		version, sha256.Sum256(module), loopsPerYield, importModule, yieldImport)
	fmt.Fprintf(&b, "exportConstructors = %q\nexportMemory = %q\n)\n\n", n.constructors, n.memory)
	renderMap(&b, "exportNames", "maps C functions to the module's exports.", n.exports)
	renderMap(&b, "importNames", "maps C functions to the module's imports.", n.imports)
	return format.Source(b.Bytes())
}

func renderMap(b *bytes.Buffer, name, comment string, m map[string]string) {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	fmt.Fprintf(b, "// %s %s\nvar %s = map[string]string{\n", name, comment, name)
	for _, k := range keys {
		fmt.Fprintf(b, "%q: %q,\n", k, m[k])
	}
	b.WriteString("}\n\n")
}

// write replaces a file in one step, and leaves it alone when nothing changes, so that the build cache stays warm.
func write(path string, data []byte) error {
	if old, err := os.ReadFile(path); err == nil && bytes.Equal(old, data) {
		return nil
	}
	tmp, err := os.CreateTemp(filepath.Dir(path), ".gen-*")
	if err != nil {
		return err
	}
	defer os.Remove(tmp.Name())
	_, err = tmp.Write(data)
	if err = errors.Join(err, tmp.Chmod(0o644), tmp.Close()); err != nil {
		return err
	}
	return os.Rename(tmp.Name(), path)
}
