package aws

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	awssdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"

	"purser"
	"purser/pricing"
)

var noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

func noonAt(second int64) time.Time { return noon.Add(time.Duration(second) * time.Second) }

// world is a cloud of two regions with the true machines and prices of each trap.
func world(t testing.TB) *cloud {
	both := []string{"on-demand", "spot"}
	c := &cloud{
		t: t, pageSize: 4, regions: []string{"us-east-2", "us-east-1"},
		scores:   map[string]int{"us-east-1": 3, "us-east-2": 9},
		machines: map[string][]wireMachine{"us-east-1": usEast1()},
		products: map[string][]wireProduct{"us-east-1": {
			{"B1", "g5.xlarge", "1.0060000000", "", ""},
			{"B2", "c6i.4xlarge", "0.6800000000", "", ""},
			{"B3", "g6f.large", "0.2020000000", "", ""},
			{"B4", "g4dn.metal", "7.8240000000", "", ""},
			{"B5", "p4d.24xlarge", "21.9576420000", "", ""},
			{"B6", "p4de.24xlarge", "27.4470500000", "", ""},
			{"B7", "p5.48xlarge", "55.0400000000", "", ""},
			{"B8", "p5.4xlarge", "6.8800000000", "", ""},
			{"B9", "p5e.48xlarge", "", "", ""},
			{"C1", "trn2.48xlarge", "", "", ""},
			{"C2", "inf1.xlarge", "0.2280000000", "", ""},
			{"C3", "f2.6xlarge", "1.9800000000", "", ""},
			{"C4", "vt1.3xlarge", "0.6500000000", "", ""},
			{"C5", "p3.2xlarge", "3.0600000000", "", ""},
			{"C6", "t3.micro", "0.0000000000", "", ""},
			{"C7", "g5.xlarge", "100.0000000000", "Quantity", ""},
		}},
		quotes: map[string][]wireQuote{"us-east-1": {
			quoted("p5.48xlarge", "a", "use1-az1", "55.040000", -1*time.Hour), quoted("p5.48xlarge", "b", "use1-az2", "19.250000", -2*time.Hour),
			quoted("g5.xlarge", "a", "use1-az1", "0.412300", -3*time.Hour), quoted("g5.xlarge", "x", "use1-atl2-az1", "0.700000", -3*time.Hour),
			quoted("g5.xlarge", "a", "use1-az1", "0.412300", -10*time.Hour), quoted("g5.xlarge", "a", "use1-az1", "0.390000", -30*time.Hour),
			quoted("g5.xlarge", "a", "use1-az1", "0.390000", -40*time.Hour), quoted("g5.xlarge", "a", "use1-az1", "0.350000", -100*24*time.Hour),
			quoted("p5e.48xlarge", "a", "use1-az1", "18.735900", -4*time.Hour), quoted("p3.16xlarge", "a", "use1-az1", "2.669400", -4*time.Hour),
			quoted("t3.micro", "a", "use1-az1", "0.000000", -5*time.Hour),
		}},
		files: map[string]string{},
	}
	g6 := wireMachine{Classes: both, VCPU: 4, MiB: 16384, GPUs: []wireDevice{{Name: "L4", Count: 1, MiB: 22888}}, Zones: []string{"use2-az1", "use2-az2"}}
	for i, size := range []string{"xlarge", "2xlarge", "4xlarge"} {
		g6.Type, g6.VCPU, g6.MiB = "g6."+size, 4<<i, 16384<<i
		usd := []string{"0.8048000000", "0.9776000000", "1.3232000000"}[i]
		c.machines["us-east-2"] = append(c.machines["us-east-2"], g6)
		c.products["us-east-2"] = append(c.products["us-east-2"], wireProduct{fmt.Sprintf("D%d", i), g6.Type, usd, "", ""})
		c.quotes["us-east-2"] = append(c.quotes["us-east-2"], quoted(g6.Type, "a", "use2-az1", []string{"0.259900", "0.300000", "0.663700"}[i], -time.Hour))
	}
	c.advisor = `{"ranges":[{"index":0,"label":"<5%","dots":0,"max":5},{"index":4,"label":">20%","dots":4,"max":100}],"spot_advisor":{
		"us-east-1":{"Linux":{"p5.48xlarge":{"s":57,"r":0},"g5.xlarge":{"s":62,"r":3},"p5e.48xlarge":{"s":10,"r":null},"t3.micro":{"s":10,"r":9},"m1.small":{"s":1,"r":1}},"Windows":{"g5.xlarge":{"s":1,"r":1}}},
		"us-east-2":{"Linux":{"g6.xlarge":{"s":62,"r":4}}}}}`
	for region := range c.machines {
		c.files[region] = priceFile(region, c.products[region])
	}
	return c
}

// usEast1 are its machines as DescribeInstanceTypes has them.
func usEast1() []wireMachine {
	both, onDemandOnly, neither := []string{"on-demand", "spot"}, []string{"on-demand"}, []string{"capacity-block", "spot"}
	az1, az12 := []string{"use1-az1"}, []string{"use1-az2", "use1-az1"}
	return []wireMachine{
		{Type: "c6i.4xlarge", Classes: both, VCPU: 16, MiB: 32768, Zones: az12},
		{Type: "g5.xlarge", Classes: both, VCPU: 4, MiB: 16384, DiskGB: 250, GPUs: []wireDevice{{Name: "A10G", Count: 1, MiB: 22888}}, Zones: append(az12, "use1-atl2-az1")},
		{Type: "g6f.large", Classes: both, VCPU: 2, MiB: 8192, GPUs: []wireDevice{{Name: "L4", Partition: 0.125, Logical: 1, MiB: 2861}}, Zones: az1},
		{Type: "g4dn.metal", Classes: both, VCPU: 96, MiB: 393216, GPUs: []wireDevice{{Name: "T4", Count: 8, MiB: 15360}}, Zones: az1},
		{Type: "p4d.24xlarge", Classes: both, VCPU: 96, MiB: 1179648, GPUs: []wireDevice{{Name: "A100", Count: 8, MiB: 40960}}, Zones: az1},
		{Type: "p4de.24xlarge", Classes: both, VCPU: 96, MiB: 1179648, GPUs: []wireDevice{{Name: "A100", Count: 8, MiB: 81920}}, Zones: az1},
		{Type: "p5.48xlarge", Classes: both, VCPU: 192, MiB: 2097152, GPUs: []wireDevice{{Name: "H100", Count: 8, MiB: 81920}}, Zones: az12},
		{Type: "p5.4xlarge", Classes: onDemandOnly, VCPU: 16, MiB: 262144, GPUs: []wireDevice{{Name: "H100", Count: 1, MiB: 81920}}, Zones: az1},
		{Type: "p5e.48xlarge", Classes: neither, VCPU: 192, MiB: 2097152, GPUs: []wireDevice{{Name: "NVIDIA", Count: 8, MiB: 144384}}, Zones: az1},
		{Type: "trn2.48xlarge", Classes: neither, VCPU: 192, MiB: 2097152, Neurons: []wireDevice{{Name: "Trainium2", Count: 16, MiB: 524288}}, Zones: az1},
		{Type: "inf1.xlarge", Classes: both, VCPU: 4, MiB: 8192, Neurons: []wireDevice{{Name: "Inferentia", Count: 1, MiB: 8192}}, Infers: []wireDevice{{Name: "Inferentia", Count: 1, MiB: 8192}}, Zones: az1},
		{Type: "f2.6xlarge", Classes: both, VCPU: 24, MiB: 262144, FPGAs: []wireDevice{{Name: "Virtex UltraScale+ (VU47P)", Count: 1, MiB: 81920}}, Zones: az1},
		{Type: "vt1.3xlarge", Classes: both, VCPU: 12, MiB: 24576, Media: []wireDevice{{Name: "U30", Count: 1, MiB: 24576}}, Zones: az1},
		{Type: "t3.micro", Classes: both, VCPU: 2, MiB: 1024, Zones: az1},
	}
}

func quoted(instanceType, letter, zoneID, usd string, ago time.Duration) wireQuote {
	return wireQuote{Type: instanceType, Description: "Linux/UNIX", Price: usd, At: noon.Add(ago).Format("2006-01-02T15:04:05.000Z"), Zone: "us-east-1" + letter, ZoneID: zoneID}
}

const disclaimers = "\"FormatVersion\",\"v1.0\"\n\"Disclaimer\",\"This pricing list is for informational purposes only, \"\"really\"\".\"\n" +
	"\"Publication Date\",\"2026-11-20T00:00:00Z\"\n\"Version\",\"20261120\"\n\"OfferCode\",\"AmazonEC2\"\n"

// fileColumns are in another order than ours, with others between.
var fileColumns = []string{
	"SKU", "OfferTermCode", "TermType", "PriceDescription", "Unit", "PricePerUnit", "Currency", "Product Family", "Location", "Instance Type", "vCPU", "Memory",
	"Storage", "Tenancy", "Operating System", "CapacityStatus", "GPU", "Pre Installed S/W", "MarketOption", "Region Code",
}

// fileShapes are the vCPUs, memory and GPUs of types as the price files have them.
var fileShapes = map[string][3]string{
	"c6i.4xlarge": {"16", "32 GiB", ""}, "g5.xlarge": {"4", "16 GiB", "1"}, "g6f.large": {"2", "8 GiB", "1"}, "g4dn.metal": {"96", "384 GiB", "8"},
	"p4d.24xlarge": {"96", "1,152 GiB", "8"}, "p4de.24xlarge": {"96", "1152 GiB", "8"}, "p5.48xlarge": {"192", "2 TiB", "8"}, "p5.4xlarge": {"16", "256 GiB", "1"},
	"inf1.xlarge": {"4", "8 GiB", ""}, "f2.6xlarge": {"24", "256 GiB", ""}, "vt1.3xlarge": {"12", "24 GiB", ""}, "p3.2xlarge": {"8", "61 GiB", "1"},
	"t3.micro": {"2", "1 GiB", "NA"}, "g6.xlarge": {"4", "16 GiB", "1"}, "g6.2xlarge": {"8", "32 GiB", "1"}, "g6.4xlarge": {"16", "64 GiB", "1"},
}

// fileLine is a line of a price file, with changes to what an on-demand line has.
func fileLine(region string, p wireProduct, change map[string]string) string {
	s := fileShapes[p.instanceType]
	line := map[string]string{
		"SKU": p.sku, "OfferTermCode": "JRTCKXETXF", "TermType": "OnDemand", "PriceDescription": "$" + p.usd + " per \"hour\", On Demand", "Unit": or(p.unit, "Hrs"),
		"PricePerUnit": p.usd, "Currency": or(p.currency, "USD"), "Product Family": "Compute Instance", "Location": "US East", "Instance Type": p.instanceType,
		"vCPU": s[0], "Memory": s[1], "GPU": s[2], "Storage": "EBS only", "Tenancy": "Shared", "Operating System": "Linux", "CapacityStatus": "Used",
		"Pre Installed S/W": "NA", "MarketOption": "OnDemand", "Region Code": region,
	}
	if p.bare() {
		line["Tenancy"], line["Product Family"] = "Dedicated", "Compute Instance (bare metal)"
	}
	for k, v := range change {
		line[k] = v
	}
	var fields []string
	for _, name := range fileColumns {
		fields = append(fields, `"`+strings.ReplaceAll(line[name], `"`, `""`)+`"`)
	}
	return strings.Join(fields, ",") + "\n"
}

func fileHeader() string { return disclaimers + `"` + strings.Join(fileColumns, `","`) + "\"\n" }

// priceFile is a region's file, with lines between that are of no interest.
func priceFile(region string, products []wireProduct) string {
	var b strings.Builder
	b.WriteString(fileHeader())
	for _, p := range products {
		if p.usd == "" {
			continue
		}
		b.WriteString(fileLine(region, p, nil))
		for column, value := range map[string]string{
			"TermType": "Reserved", "Operating System": "Windows", "Tenancy": "Host", "CapacityStatus": "UnusedCapacityReservation",
			"Pre Installed S/W": "SQL Web", "MarketOption": "CapacityBlock", "Region Code": "us-east-1-atl-2", "Product Family": "Storage", "Instance Type": "",
		} {
			b.WriteString(fileLine(region, p, map[string]string{column: value, "PricePerUnit": "9.9900000000"}))
		}
	}
	return b.String()
}

// options are for a cloud at an address, with short pauses.
func options(address string, client *http.Client) Options {
	return Options{
		Config: awssdk.Config{
			Region: "us-east-1", BaseEndpoint: &address, HTTPClient: client,
			Credentials: credentials.NewStaticCredentialsProvider("AKIDEXAMPLE", "the-secret-key", "the-session-token"),
		},
		Now: func() time.Time { return noon }, HTTP: client, PriceFiles: address, AdvisorURL: address + "/advisor.json",
		Tries: 3, Pause: time.Millisecond / 2, Timeout: 5 * time.Second,
	}
}

// serve gives the options to reach a cloud.
func serve(t testing.TB, c *cloud) Options {
	t.Helper()
	return serveHandler(t, c)
}

func serveHandler(t testing.TB, h http.Handler) Options {
	t.Helper()
	srv := httptest.NewServer(h)
	t.Cleanup(srv.Close)
	return options(srv.URL, srv.Client())
}

// made makes a collector of options that are right.
func made(t testing.TB, construct func(Options) (pricing.Collector, error), opt Options) pricing.Collector {
	t.Helper()
	c, err := construct(opt)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func collect(c pricing.Collector) ([]pricing.Batch, error) {
	var out []pricing.Batch
	err := c.Collect(context.Background(), func(b pricing.Batch) error {
		out = append(out, b)
		return nil
	})
	return out, err
}

// rowsOf collects without an error and gives the rows by offer id.
func rowsOf(t testing.TB, c pricing.Collector) map[purser.OfferID]pricing.Row {
	t.Helper()
	batches, err := collect(c)
	if err != nil {
		t.Fatal(err)
	}
	out := map[purser.OfferID]pricing.Row{}
	for _, b := range batches {
		for _, r := range b.Rows {
			if _, twice := out[r.Offer.ID()]; twice {
				t.Errorf("two rows of %s", r.Offer.ID())
			}
			out[r.Offer.ID()] = r
		}
	}
	return out
}
