package archtest

import (
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
)

const smallPage = `
| package | one sentence | may import of ours | third party |
|---|---|---|---|
| purser (root) | The nouns. | – | none |
| optimizer | Solves. | root, optimizer/highs | none |
| optimizer/highs | The solver. | – | wazero |
| pricing | Prices. | root | none |
| pricing/x | One feed. | root, pricing, pricing/feed | that SDK |
| pricing/feed | HTTP. | root | wazero |
| ledger, forecast | Sums. | root | gonum (forecast) |
| postgres | Keeps. | root | pgx |
| app | Wires. | all | cron |

| word | modules |
|---|---|
| wazero | ` + "`github.com/tetratelabs/wazero`" + ` |
| pgx | ` + "`github.com/jackc/pgx/v5`" + ` |
| cron | ` + "`github.com/robfig/cron/v3`" + ` |
| gonum | ` + "`gonum.org/v1/gonum`" + ` |
| that SDK | none yet |

Pure packages: purser, optimizer, ledger.
`

func small(t *testing.T) *Page {
	t.Helper()
	page, err := ParsePage(smallPage)
	if err != nil {
		t.Fatal(err)
	}
	return page
}

// tree loads files given as name → source.
func tree(t *testing.T, files map[string]string) *Tree {
	t.Helper()
	fsys := fstest.MapFS{}
	for name, src := range files {
		fsys[name] = &fstest.MapFile{Data: []byte(src)}
	}
	loaded, err := Load(fsys)
	if err != nil {
		t.Fatal(err)
	}
	return loaded
}

// expect compares violations, as text, with parts of what each should say.
func expect(t *testing.T, got []Violation, want ...string) {
	t.Helper()
	if len(got) != len(want) {
		t.Errorf("got %d violations, want %d", len(got), len(want))
	}
	for i, v := range got {
		if i < len(want) && !strings.Contains(v.String(), want[i]) {
			t.Errorf("violation %d is\n  %s\nand does not say\n  %s", i, v, want[i])
		} else if i >= len(want) {
			t.Errorf("unexpected: %s", v)
		}
	}
}

func importing(pkg string, imports ...string) string {
	src := "package " + pkg + "\n"
	for _, i := range imports {
		src += "import _ \"" + i + "\"\n"
	}
	return src
}

func TestImportRule(t *testing.T) {
	page := small(t)
	for name, c := range map[string]struct {
		file, src string
		want      []string
	}{
		"allowed":              {"optimizer/a.go", importing("optimizer", "fmt", "purser", "purser/optimizer/highs"), nil},
		"of ours":              {"optimizer/a.go", importing("optimizer", "purser/postgres"), []string{"optimizer/a.go:2: imports: optimizer may not import postgres"}},
		"upwards":              {"optimizer/highs/a.go", importing("highs", "purser/optimizer"), []string{"optimizer/highs may not import optimizer"}},
		"of others":            {"optimizer/a.go", importing("optimizer", "github.com/tetratelabs/wazero"), []string{"allows none of others' modules"}},
		"package of a module":  {"optimizer/highs/a.go", importing("highs", "github.com/tetratelabs/wazero/api"), nil},
		"name that begins so":  {"postgres/a.go", importing("postgres", "github.com/jackc/pgx/v55"), []string{"postgres may not import github.com/jackc/pgx/v55"}},
		"root":                 {"a.go", importing("purser", "purser/pricing"), []string{". may not import pricing"}},
		"folder below":         {"postgres/embedded/a.go", importing("embedded", "github.com/jackc/pgx/v5", "purser"), nil},
		"own folder below":     {"postgres/a.go", importing("postgres", "purser/postgres/embedded"), nil},
		"x":                    {"pricing/aws/a.go", importing("aws", "purser", "purser/pricing"), nil},
		"x of another x":       {"pricing/aws/a.go", importing("aws", "purser/pricing/gcp"), []string{"pricing/aws may not import pricing/gcp"}},
		"x of its own":         {"pricing/aws/a.go", importing("aws", "purser/pricing/aws/internal/page"), nil},
		"parent of x":          {"pricing/a.go", importing("pricing", "purser/pricing/aws"), []string{"pricing may not import pricing/aws"}},
		"all":                  {"app/a.go", importing("app", "purser/postgres/embedded", "purser/pricing/aws"), nil},
		"all but test helpers": {"app/a.go", importing("app", "purser/internal/pgtest", "purser/pricing/pricingtest"), []string{"internal/pgtest exists for tests", "pricing/pricingtest exists for tests"}},
		"one of two":           {"forecast/a.go", importing("forecast", "gonum.org/v1/gonum/stat"), nil},
		"other of two":         {"ledger/a.go", importing("ledger", "gonum.org/v1/gonum/stat"), []string{"ledger may not import gonum.org"}},
		"no row":               {"surprise/a.go", importing("surprise"), []string{"surprise: imports: no row"}},
		"test file":            {"optimizer/a_test.go", importing("optimizer", "purser/postgres", "pgregory.net/rapid"), nil},
		"test helper":          {"internal/pgtest/a.go", importing("pgtest", "purser/postgres/embedded", "github.com/jackc/pgx/v5"), nil},
		"cgo":                  {"optimizer/a.go", importing("optimizer", "C"), []string{"cgo is not used"}},
		"tool beside":          {"optimizer/gen.go", "//go:build ignore\n\n" + importing("main", "purser/app"), nil},
		"brought":              {"node_modules/x/a.go", importing("x", "purser/app"), nil},
	} {
		t.Run(name, func(t *testing.T) {
			expect(t, CheckImports(tree(t, map[string]string{c.file: c.src}), page), c.want...)
		})
	}
}

func TestPackageCommentRule(t *testing.T) {
	long := "// Package a does this and that, and says so at a length that tells a reader what to expect of it.\n"
	for name, c := range map[string]struct {
		files map[string]string
		want  []string
	}{
		"good":        {map[string]string{"a/a.go": long + "package a\n", "a/b.go": "package a\n"}, nil},
		"none":        {map[string]string{"a/a.go": "// Copyright\n\npackage a\n"}, []string{"a: package comment: the package has none"}},
		"two":         {map[string]string{"a/a.go": long + "package a\n", "a/b.go": long + "package a\n"}, []string{"a/b.go:2: package comment: the package has another one in a.go"}},
		"short":       {map[string]string{"a/a.go": "// Package a is a.\npackage a\n"}, []string{"characters say too little"}},
		"other words": {map[string]string{"a/a.go": strings.Replace(long, "Package a", "This package", 1) + "package a\n"}, []string{`it begins with "Package a "`}},
		"command":     {map[string]string{"cmd/a/a.go": strings.Replace(long, "Package a", "Command a", 1) + "package main\n"}, nil},
		"only tests":  {map[string]string{"a/a_test.go": "package a\n"}, nil},
		"tool beside": {map[string]string{"a/a.go": long + "package a\n", "a/gen.go": "//go:build ignore\n\n// Gen writes.\npackage main\n"}, nil},
	} {
		t.Run(name, func(t *testing.T) { expect(t, CheckPackageComments(tree(t, c.files)), c.want...) })
	}
}

func TestPureRule(t *testing.T) {
	page := small(t)
	for name, c := range map[string]struct {
		file, src string
		want      []string
	}{
		"time as a value":  {"optimizer/a.go", "package optimizer\nimport \"time\"\nfunc f(t time.Time) time.Duration { return t.Sub(t) + time.Second }\n", nil},
		"clock":            {"optimizer/a.go", "package optimizer\nimport \"time\"\nvar t = time.Now()\n", []string{"optimizer/a.go:3: pure: a pure package may not use time.Now"}},
		"clock by a name":  {"optimizer/a.go", "package optimizer\nimport c \"time\"\nvar t = c.Since\n", []string{"may not use c.Since"}},
		"timeout":          {"ledger/a.go", "package ledger\nimport \"context\"\nvar f = context.WithTimeout\n", []string{"may not use context.WithTimeout"}},
		"seeded":           {"optimizer/a.go", "package optimizer\nimport \"math/rand/v2\"\nvar r = rand.New(rand.NewPCG(1, 2))\n", nil},
		"not seeded":       {"optimizer/a.go", "package optimizer\nimport \"math/rand/v2\"\nvar r = rand.IntN(3)\n", []string{"may not use rand.IntN"}},
		"environment":      {"a.go", "package purser\nimport \"os\"\nvar e = os.Getenv(\"E\")\n", []string{"may not import os"}},
		"statuses":         {"a.go", "package purser\nimport \"net/http\"\nvar s = http.StatusOK\n", nil},
		"network":          {"a.go", "package purser\nimport \"net/http\"\nvar s = http.Get\n", []string{"may not use http.Get"}},
		"log":              {"ledger/a.go", importing("ledger", "log/slog"), []string{"may not import log/slog"}},
		"dot":              {"ledger/a.go", "package ledger\nimport . \"time\"\nvar t = Now()\n", []string{"a dot import hides"}},
		"folder below":     {"optimizer/knapsack/a.go", importing("knapsack", "os"), []string{"may not import os"}},
		"row of its own":   {"optimizer/highs/a.go", importing("highs", "os"), nil},
		"test":             {"optimizer/a_test.go", importing("optimizer", "os"), nil},
		"not pure":         {"postgres/a.go", importing("postgres", "os"), nil},
		"method of a type": {"optimizer/a.go", "package optimizer\nimport \"time\"\ntype c struct{}\nfunc (c) Now() time.Time { return time.Time{} }\nvar t = c{}.Now()\n", nil},
	} {
		t.Run(name, func(t *testing.T) {
			expect(t, CheckPure(tree(t, map[string]string{c.file: c.src}), page), c.want...)
		})
	}
}

func TestInitRule(t *testing.T) {
	expect(t, CheckInits(tree(t, map[string]string{
		"a/a.go": "package a\nfunc init() {}\ntype t struct{}\nfunc (t) init() {}\n",
		"a/b.go": "// Code generated by x. DO NOT EDIT.\npackage a\nfunc init() {}\n",
	})), "a/a.go:2: init: no init functions")
}

func TestFileRules(t *testing.T) {
	long := strings.Repeat("x\n", maxLines+1)
	expect(t, CheckLengths(map[string]string{
		"a.go":           long,
		"b.tsx":          long,
		"c.md":           long,
		"d_gen.go":       long,
		"e/schema.d.ts":  "/**\n * This file was auto-generated by a tool.\n */\n" + long,
		"f_test.go":      strings.Repeat("x\n", maxLines),
		"web/schema.sql": long,
	}), "a.go: length: 501 lines", "b.tsx", "web/schema.sql")
	expect(t, CheckPlaces(map[string]string{
		"a.go":  "x\ny /srv/clone/of/mine/z\n",
		"b.md":  "see /home/" + "somebody/notes\n",
		"ok.md": "a folder such as /home or /var/lib/purser\n",
	}, []string{"/srv/clone/of/mine"}), "a.go:2: machine path: /srv/clone/of/mine", "b.md:1: machine path: /home/"+"somebody/")
	expect(t, CheckLocks(map[string]string{
		"web/package-lock.json": "{\n\"resolved\": \"" + "https://somewhere/x.tgz\",\n\"resolved\": \"vendor/x\" }",
		"go.mod":                "module purser\n\nreplace a.b/c => ../c\n\nreplace (\n\ta.b/d v1.0.0 => ../d\n)\n",
		"tools/go.mod":          "module purser/tools\n\nrequire a.b/c v1.0.0\n",
	}), "go.mod:3: go.mod: no replace", "go.mod:5: go.mod", "go.mod:6: go.mod", "web/package-lock.json:2: lock file")
}

func TestDockerRule(t *testing.T) {
	good := `# the image
FROM node:22-bookworm-slim AS page
RUN npm ci
FROM debian:12-slim
RUN apt-get update && \
    apt-get install --yes --no-install-recommends postgresql && \
    rm -rf /var/lib/apt/lists/*
COPY --from=page /src/dist /dist
USER purser
EXPOSE 7077
VOLUME /var/lib/purser
HEALTHCHECK --interval=10s CMD ["purser", "doctor"]
ENTRYPOINT ["purser"]
CMD ["serve"]
`
	expect(t, CheckDockerfile("Dockerfile", good))
	for _, c := range []struct{ old, new, want string }{
		{"debian:12-slim", "debian", "Dockerfile:4: docker: debian has no fixed tag"},
		{"debian:12-slim", "debian:latest", "has no fixed tag"},
		{"--from=page", "--from=pages", "names no earlier stage"},
		{"--no-install-recommends ", "", "apt-get install stands in one RUN"},
		{"USER purser", "USER 0:0", "the last stage wants USER"},
		{"USER purser\n", "", "the last stage wants USER"},
		{"HEALTHCHECK --interval=10s CMD", "HEALTHCHECK NONE #", "wants HEALTHCHECK"},
		{"EXPOSE 7077", "EXPOSE 80", "wants EXPOSE"},
		{`["purser"]`, "purser", "wants ENTRYPOINT"},
		{"COPY --from=page /src/dist /dist", "ADD x /", "COPY says what it does"},
	} {
		t.Run(c.want, func(t *testing.T) {
			expect(t, CheckDockerfile("Dockerfile", strings.Replace(good, c.old, c.new, 1)), c.want)
		})
	}
}

func TestPageErrors(t *testing.T) {
	for name, c := range map[string]struct{ old, new, want string }{
		"unknown word": {"| wazero |\n| pricing |", "| wasmtime |\n| pricing |", `names "wasmtime" for optimizer/highs`},
		"twice":        {"| app |", "| postgres |", `two rows for "postgres"`},
		"no pure line": {"Pure packages:", "Pure:", "has no line that begins with"},
		"no table":     {"| package | one sentence |", "| package | a sentence |", "has no import table"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := ParsePage(strings.Replace(smallPage, c.old, c.new, 1))
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want an error that says %q", err, c.want)
			}
		})
	}
}

func TestLayerRules(t *testing.T) {
	rules := Layers(small(t))
	for _, want := range []string{
		"layer-root:\n  list-mode: strict\n  files:\n    - \"${config-path}/*.go\"\n    - \"!$test\"\n  allow:\n    - $gostd\nlayer-optimizer:",
		"    - \"!${config-path}/optimizer/highs/**\"\n  allow:\n    - $gostd\n    - purser$\n    - purser/optimizer/highs$\n",
		"    - \"${config-path}/pricing/*/**\"\n    - \"!$test\"\n    - \"!${config-path}/**/*test/**\"\n    - \"!${config-path}/pricing/feed/**\"\n",
		"  deny:\n    - pkg: purser/internal\n",
	} {
		if !strings.Contains(rules, want) {
			t.Errorf("the rules do not hold\n%s\n\n%s", want, rules)
		}
	}
	config := "a:\n  rules:\n    " + layersBegin + "\n    old: true\n    " + layersEnd + "\nb: 1\n"
	got, err := SpliceLayers(config, "x:\n  y: 1\n")
	if err != nil || got != "a:\n  rules:\n    "+layersBegin+"\n    x:\n      y: 1\n    "+layersEnd+"\nb: 1\n" {
		t.Errorf("got %v\n%s", err, got)
	}
	if _, err := SpliceLayers("a: 1\n", rules); err == nil {
		t.Error("a configuration without the marking lines was taken")
	}
}

func TestLinkRule(t *testing.T) {
	fsys := fstest.MapFS{"docs/a.md": {}, "docs/adr/b.md": {}, "LICENSE": {}}
	expect(t, CheckLinks(fsys, map[string]string{
		"docs/a.md": "see [b](adr/b.md#part), [the licence](../LICENSE), [all](adr/), [elsewhere](https://example.org/x)\nand [c](c.md)\n",
		"a.go":      "// [c](c.md)\n",
	}), "docs/a.md:2: link: c.md is not there")
}

func TestTextsLeavesOutWhatIsNoText(t *testing.T) {
	fsys := fstest.MapFS{"a.txt": {Data: []byte("a")}, "b.bin": {Data: []byte("a\x00b")}}
	texts, err := Texts(fsys, []string{"a.txt", "b.bin", "gone.txt"})
	if err != nil || !slices.Equal(slices.Collect(maps.Keys(texts)), []string{"a.txt"}) {
		t.Errorf("got %v, %v", texts, err)
	}
}
