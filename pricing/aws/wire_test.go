package aws

import (
	"encoding/json"
	"maps"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// snapshot reads a sample of what goes over the wire, which each of the SDK's
// modules brings along: head lines, then the body.
func snapshot(t *testing.T, service, name string) (head, body string) {
	t.Helper()
	dir, err := exec.CommandContext(t.Context(), "go", "list", "-m", "-f", "{{.Dir}}", "github.com/aws/aws-sdk-go-v2/service/"+service).Output()
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(strings.TrimSpace(string(dir)), filepath.FromSlash(name)))
	if err != nil {
		t.Fatal(err)
	}
	at := strings.LastIndex(string(text), "\n\n")
	return string(text[:at]), strings.TrimSpace(string(text[at:]))
}

var number = regexp.MustCompile(`\.\d+`)

// shapes are the names of a form's fields without the numbers of list items.
func shapes(form url.Values) []string {
	names := map[string]bool{}
	for name := range form {
		names[number.ReplaceAllString(name, ".N")] = true
	}
	return slices.Sorted(maps.Keys(names))
}

// What the SDK sends to the local cloud has only fields of its own samples, so that
// the cloud reads the true names.
func TestWireRequestsAreThoseOfTheSamples(t *testing.T) {
	t.Parallel()
	c := world(t)
	opt := serve(t, c)
	opt.Since = wanted
	rowsOf(t, made(t, NewSpot, opt))
	for action, needs := range map[string]string{
		"DescribeRegions":               "Action Version",
		"DescribeInstanceTypes":         "Action MaxResults Version",
		"DescribeInstanceTypeOfferings": "Action LocationType MaxResults Version",
		"DescribeSpotPriceHistory":      "Action MaxResults ProductDescription.N StartTime Version",
		"GetSpotPlacementScores":        "Action InstanceType.N RegionName.N SingleAvailabilityZone TargetCapacity Version",
	} {
		_, body := snapshot(t, "ec2", "request_snapshot/"+action+".request.snap")
		sample, err := url.ParseQuery(body)
		if err != nil {
			t.Fatal(err)
		}
		known := shapes(sample)
		requests := c.requests("ec2:" + action)
		if len(requests) == 0 {
			t.Errorf("%s was not asked", action)
		}
		for _, r := range requests {
			got := shapes(r.form)
			for _, name := range got {
				if !slices.Contains(known, name) {
					t.Errorf("%s: the sample has no %s", action, name)
				}
			}
			for name := range strings.FieldsSeq(needs) {
				if !slices.Contains(got, name) {
					t.Errorf("%s was asked without %s", action, name)
				}
			}
			if r.header.Get("Content-Type") != "application/x-www-form-urlencoded" {
				t.Errorf("%s was asked as %s", action, r.header.Get("Content-Type"))
			}
		}
	}
}

func TestWirePriceListIsThatOfTheSamples(t *testing.T) {
	t.Parallel()
	c := world(t)
	rowsOf(t, made(t, NewOnDemand, serve(t, c)))
	head, body := snapshot(t, "pricing", "request_snapshot/GetProducts.request.snap")
	known := jsonKeys(t, body)
	var product []asked
	for _, r := range c.requests("pricing:GetProducts") {
		product = append(product, r)
		for _, key := range jsonKeys(t, r.body) {
			if !slices.Contains(known, key) {
				t.Errorf("the sample has no %s", key)
			}
		}
		for _, name := range []string{"Content-Type", "X-Amz-Target"} {
			if line := name + ": " + r.header.Get(name); !strings.Contains(head, line) {
				t.Errorf("the sample has no %q", line)
			}
		}
	}
	if len(product) < 4 {
		t.Fatalf("%d requests: no second page was asked for", len(product))
	}
	want := `{"Filters":[{"Field":"regionCode","Type":"TERM_MATCH","Value":"us-east-1"},{"Field":"operatingSystem","Type":"TERM_MATCH","Value":"Linux"},` +
		`{"Field":"preInstalledSw","Type":"TERM_MATCH","Value":"NA"},{"Field":"tenancy","Type":"TERM_MATCH","Value":"Shared"},` +
		`{"Field":"capacitystatus","Type":"TERM_MATCH","Value":"Used"},{"Field":"marketoption","Type":"TERM_MATCH","Value":"OnDemand"},` +
		`{"Field":"productFamily","Type":"TERM_MATCH","Value":"Compute Instance"}],"MaxResults":100,"ServiceCode":"AmazonEC2"}`
	first := slices.IndexFunc(product, func(a asked) bool { return a.body == want })
	if first < 0 {
		t.Fatalf("nobody asked\n%s\nthe first was\n%s", want, product[0].body)
	}
	answers := map[string]struct{ head, body string }{}
	record := func(name string, write func(*httptest.ResponseRecorder)) {
		rec := httptest.NewRecorder()
		write(rec)
		answers[name] = struct{ head, body string }{"Content-Type: " + rec.Header().Get("Content-Type"), rec.Body.String()}
	}
	record("GetProducts.response", func(rec *httptest.ResponseRecorder) { c.answer(rec, product[first]) })
	record("ThrottlingException.error", func(rec *httptest.ResponseRecorder) { pricingError(429, "ThrottlingException", "m")(rec, nil) })
	for name, got := range answers {
		head, body := snapshot(t, "pricing", "response_snapshot/"+name+".snap")
		if !strings.Contains(head, got.head) || !slices.Equal(jsonKeys(t, body), jsonKeys(t, got.body)) {
			t.Errorf("%s: the cloud answers %s with %v, the sample has %s with %v", name, got.head, jsonKeys(t, got.body), head, jsonKeys(t, body))
		}
	}
}

// jsonKeys are the names in an object and in the objects of its lists.
func jsonKeys(t *testing.T, text string) []string {
	t.Helper()
	var object map[string]any
	if err := json.Unmarshal([]byte(text), &object); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	names := map[string]bool{}
	for name, value := range object {
		names[name] = true
		list, _ := value.([]any)
		for _, item := range list {
			if inner, ok := item.(map[string]any); ok {
				for key := range inner {
					names[name+"."+key] = true
				}
			}
		}
	}
	return slices.Sorted(maps.Keys(names))
}
