package azure

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// series are sizes whose shape follows from their name: Standard_, the family, the
// number of vCPUs, the features, the version.
type series struct {
	family, features, version string
	gibPerVCPU                int64
	sizes                     []int64         // in vCPUs
	except                    map[int64]int64 // sizes with other memory, in GiB
}

// sized is a size that its name explains.
type sized struct {
	name             string
	vCPUs, memoryGiB int64
}

var generalForm = regexp.MustCompile(`^standard_([def])(\d{1,3})([a-z]{0,4})_(v\d)$`)

// generalSize explains the name of a size of the common series D, E and F, written in
// any case. Isolated sizes and those with fewer vCPUs than their memory is for are none
// of them.
func generalSize(size string) (sized, bool) {
	m := generalForm.FindStringSubmatch(strings.ToLower(size))
	if m == nil {
		return sized{}, false
	}
	n, err := strconv.ParseInt(m[2], 10, 64)
	if err != nil || strconv.FormatInt(n, 10) != m[2] {
		return sized{}, false
	}
	for _, s := range generalSeries() {
		if s.family != strings.ToUpper(m[1]) || s.version != m[4] || !slices.Contains(strings.Split(s.features, " "), m[3]) || !slices.Contains(s.sizes, n) {
			continue
		}
		memory, ok := s.except[n]
		if !ok {
			memory = n * s.gibPerVCPU
		}
		return sized{"Standard_" + s.family + m[2] + m[3] + "_" + s.version, n, memory}, true
	}
	return sized{}, false
}

// generalSeries are Microsoft's pages of sizes. Features are separated by one space,
// and stand with a leading space where a size may have none.
func generalSeries() []series {
	upTo := func(most int64, also ...int64) []int64 {
		var out []int64
		for _, n := range append([]int64{2, 4, 8, 16, 32, 48, 64, 96, 128, 192}, also...) {
			if n <= most {
				out = append(out, n)
			}
		}
		return out
	}
	is := func(vCPUs, memoryGiB int64) map[int64]int64 { return map[int64]int64{vCPUs: memoryGiB} }
	return []series{
		{"D", " s", "v3", 4, upTo(64), nil},
		{"D", " s d ds", "v4", 4, upTo(64), nil},
		{"D", "a as", "v4", 4, upTo(96), nil},
		{"D", " s d ds as ads", "v5", 4, upTo(96), nil},
		{"D", "ps pds", "v5", 4, upTo(64), is(64, 208)},
		{"D", "ls lds", "v5", 2, upTo(96), nil},
		{"D", "pls plds", "v5", 2, upTo(64), nil},
		{"D", "s ds", "v6", 4, upTo(192), nil},
		{"D", "as ads ps pds", "v6", 4, upTo(96), nil},
		{"D", "ls lds", "v6", 2, upTo(128), nil},
		{"D", "als alds pls plds", "v6", 2, upTo(96), nil},
		{"E", " s", "v3", 8, upTo(64, 20), is(64, 432)},
		{"E", " s d ds", "v4", 8, upTo(64, 20), is(64, 504)},
		{"E", "a as", "v4", 8, upTo(96, 20), is(96, 672)},
		{"E", " s d ds as ads", "v5", 8, upTo(96, 20), is(96, 672)},
		{"E", "bs bds", "v5", 8, upTo(96), is(96, 672)},
		{"E", "ps pds", "v5", 8, upTo(32, 20), is(32, 208)},
		{"E", "s ds", "v6", 8, upTo(128, 20), nil},
		{"E", "as ads", "v6", 8, upTo(96, 20), is(96, 672)},
		{"E", "ps pds", "v6", 8, upTo(96), is(96, 672)},
		{"F", "s", "v2", 2, append(upTo(64), 72), nil},
	}
}
