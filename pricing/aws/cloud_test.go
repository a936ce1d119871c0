package aws

import (
	"encoding/json"
	"encoding/xml"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// cloud answers as AWS does: the query API of EC2, the JSON API of the price list,
// and the public files. It keeps the tokens of its pages.
type cloud struct {
	t        testing.TB
	pageSize int // most that a page holds, whatever is asked for
	regions  []string
	machines map[string][]wireMachine // by region
	products map[string][]wireProduct // by region
	quotes   map[string][]wireQuote   // by region, newest first
	scores   map[string]int           // by region
	advisor  string
	files    map[string]string // by region, the price file

	// fault answers in place of the cloud where it is not nil. Action is as IAM names
	// it, or the path of a file.
	fault func(action, region string) http.HandlerFunc

	mu     sync.Mutex
	tokens map[string]int
	asked  []asked
}

// asked is a request that came.
type asked struct {
	action, region string
	form           url.Values
	body           string
	header         http.Header
}

type wireMachine struct {
	XMLName xml.Name `xml:"item"`
	Type    string   `xml:"instanceType"`
	Classes []string `xml:"supportedUsageClasses>item"`
	VCPU    int      `xml:"vCpuInfo>defaultVCpus"`
	MiB     int      `xml:"memoryInfo>sizeInMiB"`
	DiskGB  int      `xml:"instanceStorageInfo>totalSizeInGB,omitempty"`
	GPUs    []wireDevice
	FPGAs   []wireDevice
	Neurons []wireDevice
	Infers  []wireDevice
	Media   []wireDevice
	Zones   []string `xml:"-"`
}

type wireDevice struct {
	Name      string  `xml:"name"`
	Count     int     `xml:"count"`
	Partition float64 `xml:"gpuPartitionSize,omitempty"`
	Logical   int     `xml:"logicalGpuCount,omitempty"`
	MiB       int     `xml:"memoryInfo>sizeInMiB"`
}

// MarshalXML writes the devices into the lists of their kinds.
func (m wireMachine) MarshalXML(e *xml.Encoder, _ xml.StartElement) error {
	list := func(outer, inner, item string, devices []wireDevice) string {
		if len(devices) == 0 {
			return ""
		}
		var b strings.Builder
		for _, d := range devices {
			text, err := xml.Marshal(struct {
				XMLName xml.Name
				wireDevice
			}{xml.Name{Local: item}, d})
			if err != nil {
				panic(err)
			}
			b.Write(text)
		}
		return fmt.Sprintf("<%s><%s>%s</%s></%s>", outer, inner, b.String(), inner, outer)
	}
	return e.EncodeElement(struct {
		Devices string   `xml:",innerxml"` // first, since it would else stand inside of the list before it
		Type    string   `xml:"instanceType"`
		Classes []string `xml:"supportedUsageClasses>item"`
		VCPU    int      `xml:"vCpuInfo>defaultVCpus"`
		MiB     int      `xml:"memoryInfo>sizeInMiB"`
		DiskGB  int      `xml:"instanceStorageInfo>totalSizeInGB,omitempty"`
	}{
		list("gpuInfo", "gpus", "item", m.GPUs) + list("fpgaInfo", "fpgas", "item", m.FPGAs) + list("neuronInfo", "neuronDevices", "item", m.Neurons) +
			list("inferenceAcceleratorInfo", "accelerators", "member", m.Infers) + list("mediaAcceleratorInfo", "accelerators", "item", m.Media),
		m.Type, m.Classes, m.VCPU, m.MiB, m.DiskGB,
	}, xml.StartElement{Name: xml.Name{Local: "item"}})
}

// wireProduct is an entry of the price list. Without USD it has no on-demand terms.
type wireProduct struct{ sku, instanceType, usd, unit, currency string }

func (p wireProduct) bare() bool { return strings.Contains(p.instanceType, ".metal") }

func (p wireProduct) json(region string) string {
	terms := map[string]any{}
	if p.usd != "" {
		key := p.sku + ".JRTCKXETXF"
		terms["OnDemand"] = map[string]any{key: map[string]any{
			"sku": p.sku, "effectiveDate": "2026-11-01T00:00:00Z", "offerTermCode": "JRTCKXETXF", "termAttributes": map[string]any{},
			"priceDimensions": map[string]any{key + ".6YS6EN2CT7": map[string]any{
				"unit": or(p.unit, "Hrs"), "endRange": "Inf", "beginRange": "0", "rateCode": key + ".6YS6EN2CT7", "appliesTo": []any{},
				"description":  "$" + p.usd + " per On Demand Linux " + p.instanceType + " Instance Hour",
				"pricePerUnit": map[string]any{or(p.currency, "USD"): p.usd},
			}},
		}}
	}
	text, err := json.Marshal(map[string]any{
		"serviceCode": "AmazonEC2", "version": "20261120000000", "publicationDate": "2026-11-20T00:00:00Z", "terms": terms,
		"product": map[string]any{"sku": p.sku, "productFamily": "Compute Instance", "attributes": map[string]any{
			"instanceType": p.instanceType, "regionCode": region, "operatingSystem": "Linux", "usagetype": "BoxUsage:" + p.instanceType,
		}},
	})
	if err != nil {
		panic(err)
	}
	return string(text)
}

type wireQuote struct {
	XMLName     xml.Name `xml:"item"`
	Type        string   `xml:"instanceType"`
	Description string   `xml:"productDescription"`
	Price       string   `xml:"spotPrice"`
	At          string   `xml:"timestamp"`
	Zone        string   `xml:"availabilityZone"`
	ZoneID      string   `xml:"availabilityZoneId,omitempty"`
}

var scope = regexp.MustCompile(`Credential=[^/]+/\d{8}/([a-z0-9-]+)/(ec2|pricing)/aws4_request`)

func (c *cloud) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return // the client is gone
	}
	a := asked{action: r.URL.Path, body: string(body), header: r.Header}
	if signed := scope.FindStringSubmatch(r.Header.Get("Authorization")); signed != nil {
		a.region = signed[1]
		a.form, err = url.ParseQuery(a.body)
		if signed[2] == "pricing" {
			a.action = "pricing:GetProducts"
		} else if a.action = "ec2:" + a.form.Get("Action"); err != nil || a.form.Get("Version") != "2016-11-15" {
			c.t.Errorf("EC2 was asked with %q: %v", a.body, err)
		}
	}
	c.mu.Lock()
	c.asked = append(c.asked, a)
	c.mu.Unlock()
	if c.fault != nil {
		if h := c.fault(a.action, a.region); h != nil {
			h(w, r)
			return
		}
	}
	c.answer(w, a)
}

func (c *cloud) answer(w http.ResponseWriter, a asked) {
	switch a.action {
	case "pricing:GetProducts":
		c.getProducts(w, a)
	case "ec2:DescribeRegions":
		type region struct {
			XMLName xml.Name `xml:"item"`
			Name    string   `xml:"regionName"`
			Opt     string   `xml:"optInStatus"`
		}
		var list []any
		for _, r := range c.regions {
			list = append(list, region{Name: r, Opt: "opt-in-not-required"})
		}
		c.page(w, a, "regionInfo", list)
	case "ec2:DescribeInstanceTypes":
		var list []any
		for _, m := range c.machines[a.region] {
			list = append(list, m)
		}
		c.page(w, a, "instanceTypeSet", list)
	case "ec2:DescribeInstanceTypeOfferings":
		c.offerings(w, a)
	case "ec2:DescribeSpotPriceHistory":
		c.history(w, a)
	case "ec2:GetSpotPlacementScores":
		c.placement(w, a)
	default:
		c.file(w, a.action)
	}
}

func (c *cloud) offerings(w http.ResponseWriter, a asked) {
	type offering struct {
		XMLName  xml.Name `xml:"item"`
		Type     string   `xml:"instanceType"`
		Location string   `xml:"location"`
		Kind     string   `xml:"locationType"`
	}
	var list []any
	for _, m := range c.machines[a.region] {
		for _, z := range m.Zones {
			list = append(list, offering{Type: m.Type, Location: z, Kind: a.form.Get("LocationType")})
		}
	}
	if a.form.Get("LocationType") != "availability-zone-id" {
		c.t.Errorf("offerings were asked by %q", a.form.Get("LocationType"))
	}
	c.page(w, a, "instanceTypeOfferingSet", list)
}

// history gives the last price of each pool before the start, and those after it.
func (c *cloud) history(w http.ResponseWriter, a asked) {
	start, err := time.Parse(time.RFC3339Nano, a.form.Get("StartTime"))
	if err != nil {
		c.t.Errorf("StartTime: %v", err)
	}
	var list []any
	began := map[string]bool{}
	for _, q := range c.quotes[a.region] {
		at, err := time.Parse(time.RFC3339Nano, q.At)
		if err != nil {
			c.t.Errorf("quote: %v", err)
		}
		pool := q.Zone + q.Type + q.Description
		if end, err := time.Parse(time.RFC3339Nano, a.form.Get("EndTime")); (err == nil && at.After(end)) || began[pool] {
			continue
		}
		if q.Description != a.form.Get("ProductDescription.1") && q.Description != a.form.Get("ProductDescription.2") {
			continue
		}
		began[pool] = !at.After(start)
		list = append(list, q)
	}
	c.page(w, a, "spotPriceHistorySet", list)
}

func (c *cloud) placement(w http.ResponseWriter, a asked) {
	type score struct {
		XMLName xml.Name `xml:"item"`
		Region  string   `xml:"region"`
		Score   int      `xml:"score"`
	}
	var list []any
	for i := 1; a.form.Has("RegionName." + strconv.Itoa(i)); i++ {
		r := a.form.Get("RegionName." + strconv.Itoa(i))
		list = append(list, score{Region: r, Score: c.scores[r]})
	}
	c.page(w, a, "spotPlacementScoreSet", list)
}

// token gives where a page begins, and forgets nothing, since a page may be asked
// for again.
func (c *cloud) from(token string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	at, ok := c.tokens[token]
	if token != "" && !ok {
		c.t.Errorf("there is no page %q", token)
	}
	return at
}

func (c *cloud) token(a asked, at int) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.tokens == nil {
		c.tokens = map[string]int{}
	}
	token := fmt.Sprintf("%s+%s/%d==", a.action, a.region, at)
	c.tokens[token] = at
	return token
}

// page writes a page of a list as EC2 does; an empty token ends.
func (c *cloud) page(w http.ResponseWriter, a asked, set string, list []any) {
	size := c.pageSize
	if n, err := strconv.Atoi(a.form.Get("MaxResults")); err == nil {
		size = min(size, n)
	}
	at := c.from(a.form.Get("NextToken"))
	end := min(at+size, len(list))
	next := ""
	if end < len(list) {
		next = c.token(a, end)
	}
	name := strings.TrimPrefix(a.action, "ec2:") + "Response"
	w.Header().Set("Content-Type", "text/xml;charset=UTF-8")
	fmt.Fprintf(w, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<%s xmlns=\"http://ec2.amazonaws.com/doc/2016-11-15/\"><requestId>r-1</requestId><%s>", name, set)
	for _, item := range list[at:end] {
		text, err := xml.Marshal(item)
		if err != nil {
			c.t.Errorf("cannot write %+v: %v", item, err)
		}
		_, _ = w.Write(text)
	}
	fmt.Fprintf(w, "</%s><nextToken>%s</nextToken></%s>", set, next, name)
}

func (c *cloud) getProducts(w http.ResponseWriter, a asked) {
	var in struct {
		ServiceCode, NextToken string
		MaxResults             int
		Filters                []struct{ Field, Type, Value string }
	}
	if err := json.Unmarshal([]byte(a.body), &in); err != nil {
		c.t.Errorf("GetProducts: %v", err)
	}
	is := map[string]string{}
	for _, f := range in.Filters {
		is[f.Field] = f.Value
	}
	var list []string
	for _, p := range c.products[is["regionCode"]] {
		if p.bare() == (is["productFamily"] == "Compute Instance (bare metal)") && p.bare() == (is["tenancy"] == "Dedicated") {
			list = append(list, p.json(is["regionCode"]))
		}
	}
	at := c.from(in.NextToken)
	end := min(at+c.pageSize, at+in.MaxResults, len(list))
	out := map[string]any{"FormatVersion": "aws_v1", "PriceList": slices.Clip(list[at:end])}
	if end < len(list) {
		out["NextToken"] = c.token(a, end)
	}
	w.Header().Set("Content-Type", "application/x-amz-json-1.1")
	if err := json.NewEncoder(w).Encode(out); err != nil {
		return // the client is gone
	}
}

func (c *cloud) file(w http.ResponseWriter, path string) {
	const regional = "/offers/v1.0/aws/AmazonEC2/20261120/"
	region, csv := strings.CutSuffix(strings.TrimPrefix(path, regional), "/index.csv")
	switch {
	case path == "/advisor.json":
		_, _ = io.WriteString(w, c.advisor)
	case path == "/offers/v1.0/aws/index.json":
		_, _ = io.WriteString(w, `{"offers":{"AmazonEC2":{"offerCode":"AmazonEC2","currentRegionIndexUrl":"/offers/v1.0/aws/AmazonEC2/current/region_index.json"}}}`)
	case path == "/offers/v1.0/aws/AmazonEC2/current/region_index.json":
		regions := map[string]any{"us-west-2-lax-1": map[string]string{"currentVersionUrl": regional + "us-west-2-lax-1/index.json"}}
		for r := range c.files {
			regions[r] = map[string]string{"regionCode": r, "currentVersionUrl": regional + r + "/index.json"}
		}
		_ = json.NewEncoder(w).Encode(map[string]any{"regions": regions})
	case csv && c.files[region] != "":
		_, _ = io.WriteString(w, c.files[region])
	default:
		http.Error(w, "<Error><Code>AccessDenied</Code></Error>", http.StatusForbidden)
	}
}

// count says how many requests of an action came.
func (c *cloud) count(action string) int { return len(c.requests(action)) }

func (c *cloud) requests(action string) []asked {
	c.mu.Lock()
	defer c.mu.Unlock()
	var out []asked
	for _, a := range c.asked {
		if a.action == action {
			out = append(out, a)
		}
	}
	return out
}

// ec2Error and pricingError answer as the two APIs do when they refuse.
func ec2Error(status int, code, message string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/xml;charset=UTF-8")
		w.WriteHeader(status)
		fmt.Fprintf(w, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Response><Errors><Error><Code>%s</Code><Message>%s</Message></Error></Errors><RequestID>r-2</RequestID></Response>", code, message)
	}
}

func pricingError(status int, code, message string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/x-amz-json-1.1")
		w.WriteHeader(status)
		fmt.Fprintf(w, `{"__type":%q,"Message":%q}`, code, message)
	}
}
