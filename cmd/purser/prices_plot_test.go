package main

import (
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"pgregory.net/rapid"
)

var plotBegin = time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)

func stepAt(hours float64, price float64) plotStep {
	return plotStep{plotBegin.Add(time.Duration(hours * float64(time.Hour))), price, price == 0}
}

func TestPlot(t *testing.T) {
	var many []plotStep
	for i := range 720 {
		many = append(many, stepAt(float64(i), 1+float64(i%48)/48+float64(i)/720))
	}
	days := func(n int) time.Time { return plotBegin.AddDate(0, 0, n) }
	for name, c := range map[string]struct {
		steps    []plotStep
		from, to time.Time
		ascii    bool
	}{
		"plot-steps":   {[]plotStep{stepAt(-100, 2), stepAt(200, 2.5), stepAt(400, 1.75), stepAt(500, 2)}, days(0), days(30), false},
		"plot-ascii":   {[]plotStep{stepAt(-100, 2), stepAt(200, 2.5), stepAt(400, 1.75), stepAt(500, 2)}, days(0), days(30), true},
		"plot-gaps":    {[]plotStep{stepAt(48, 2), stepAt(100, 0), stepAt(200, 2.2), stepAt(300, 2.1), stepAt(302, 0), stepAt(303, 2.3), stepAt(600, 0)}, days(0), days(30), false},
		"plot-spikes":  {[]plotStep{stepAt(0, 2), stepAt(200, 3), stepAt(201, 2), stepAt(400, 1.5), stepAt(401, 2)}, days(0), days(30), false},
		"plot-flat":    {[]plotStep{stepAt(0, 0.00202)}, days(0), days(30), false},
		"plot-hours":   {[]plotStep{stepAt(0, 0.01), stepAt(3.5, 0.0101), stepAt(12, 0.0102)}, days(0), days(1), false},
		"plot-many":    {many, days(0), days(30), false},
		"plot-outside": {[]plotStep{stepAt(800, 2)}, days(0), days(30), false},
		"plot-no-time": {[]plotStep{stepAt(0, 2)}, days(1), days(1), false},
	} {
		t.Run(name, func(t *testing.T) {
			golden(t, name, plotting{rows: 10, cols: 64, ascii: c.ascii}.draw(c.steps, c.from, c.to))
		})
	}
}

// A plot is as large as it is told; the columns with a price, and no others, have a
// mark, and their marks hang together.
func TestPlotColumns(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		p := plotting{rows: rapid.IntRange(2, 12).Draw(rt, "rows"), cols: rapid.IntRange(30, 70).Draw(rt, "cols")}
		length := time.Duration(rapid.IntRange(1, 1e6).Draw(rt, "minutes")) * time.Minute
		var steps []plotStep
		at := plotBegin.Add(-time.Hour)
		for range rapid.IntRange(0, 60).Draw(rt, "steps") {
			price := float64(rapid.IntRange(0, 5).Draw(rt, "price"))
			steps = append(steps, plotStep{at, price, price == 0})
			at = at.Add(time.Duration(rapid.Int64Range(0, int64(length/20)).Draw(rt, "lasts")))
		}
		got := p.draw(steps, plotBegin, plotBegin.Add(length))
		if got == "" {
			for _, s := range p.spans(steps, plotBegin, plotBegin.Add(length)) {
				if s.known {
					rt.Fatal("there is a price and no plot")
				}
			}
			return
		}
		lines := strings.Split(strings.TrimSuffix(got, "\n"), "\n")
		if n := len(lines); n != p.rows+2 && n != 3 {
			rt.Fatalf("%d lines for %d rows", n, p.rows)
		}
		left := strings.IndexRune(lines[len(lines)-2], '└')
		for x, s := range p.spans(steps, plotBegin, plotBegin.Add(length)) {
			marks, runs, last := 0, 0, -2
			for y, line := range lines[:len(lines)-2] {
				cells := []rune(line)[left+1:]
				if x < len(cells) && cells[x] != ' ' {
					if marks++; y != last+1 {
						runs++
					}
					last = y
				}
			}
			if s.known != (marks > 0) || runs > 1 {
				rt.Fatalf("column %d, known %v, has %d marks in %d runs:\n%s", x, s.known, marks, runs, got)
			}
		}
		ascii := plotting{rows: p.rows, cols: p.cols, ascii: true}.draw(steps, plotBegin, plotBegin.Add(length))
		if len(ascii) != utf8.RuneCountInString(got) {
			rt.Fatalf("the ASCII differs in size:\n%s\n%s", ascii, got)
		}
	})
}

func TestPlotLocale(t *testing.T) {
	for name, c := range map[string]struct {
		env  map[string]string
		want bool
	}{
		"none":            {nil, false},
		"LANG":            {map[string]string{"LANG": "en_GB.UTF-8"}, true},
		"LC_ALL is first": {map[string]string{"LANG": "en_GB.UTF-8", "LC_ALL": "C"}, false},
		"LC_CTYPE":        {map[string]string{"LANG": "C", "LC_CTYPE": "de_DE.utf8"}, true},
	} {
		if got := utf8Locale(func(k string) string { return c.env[k] }); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}
