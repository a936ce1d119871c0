package aws_test

import (
	"testing"
	"time"

	"purser"
	"purser/providers"
	"purser/providers/aws/awstest"
)

// TestQuotas reads AWS's names, counts the account's machines, and tells the prefixes of
// families apart that begin alike.
func TestQuotas(t *testing.T) {
	w := fresh(t, "us-east-1", "us-west-2")
	w.PageSize = 3
	w.SetQuotas("us-east-1", []awstest.Quota{
		{Code: "L-417A185B", Name: "Running On-Demand P instances", Value: 384},
		{Code: "L-DB2E81BA", Name: "Running On-Demand G and VT instances", Value: 64},
		{Code: "L-1216C47A", Name: "Running On-Demand Standard (A, C, D, H, I, M, R, T, Z) instances", Value: 512},
		{Code: "L-7212CCBC", Name: "All P4, P3 and P2 Spot Instance Requests", Value: 96},
		{Code: "L-0263D0A3", Name: "EC2-VPC Elastic IPs", Value: 5},
		{Code: "L-8B27377A", Name: "Running Dedicated a1 Hosts", Value: 1},
	}, []awstest.Quota{
		{Code: "L-417A185B", Name: "Running On-Demand P instances", Value: 0}, // what was granted goes before
		{Code: "L-C4BD4855", Name: "All P5 Spot Instance Requests", Value: 0},
		{Code: "L-2C3B7624", Name: "Running On-Demand Trn instances", Value: 0},
		{Code: "L-1945791B", Name: "Running On-Demand Inf instances", Value: 8},
		{Code: "L-43DA4232", Name: "Running On-Demand High Memory instances", Value: 448},
	})
	add := func(kind, option string) {
		w.Add("us-east-1", awstest.Machine{Type: kind, Zone: "use1-az1", Option: option, Made: w.clock.now().Add(-time.Hour)})
	}
	for _, kind := range []string{"p5.48xlarge", "g5.xlarge", "gr6.4xlarge", "m7i.xlarge", "im4gn.xlarge", "trn1.2xlarge", "inf2.xlarge"} {
		add(kind, "")
	}
	add("p5.48xlarge", "spot")
	add("p4d.24xlarge", "spot")
	add("p5.48xlarge", "capacity-block")
	w.End(w.Add("us-east-1", awstest.Machine{Type: "p5.48xlarge", Zone: "use1-az1"}).ID, "")
	w.clock.pass(time.Minute)

	h, err := w.provider(t).Quotas(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string][2]int64{
		"aws/us-east-1/on_demand/P":                 {384, 192},
		"aws/us-east-1/on_demand/G+VT":              {64, 20},
		"aws/us-east-1/on_demand/A+C+D+H+I+M+R+T+Z": {512, 8},
		"aws/us-east-1/on_demand/TRN":               {0, 8},
		"aws/us-east-1/on_demand/INF":               {8, 4},
		"aws/us-east-1/on_demand/U":                 {448, 0},
		"aws/us-east-1/spot/P5":                     {0, 192},
		"aws/us-east-1/spot/P4+P3+P2":               {96, 96},
	} {
		q, used := find(h, name)
		if q.Name == "" || q.Limit != want[0] || used != want[1] || q.Unit != purser.QuotaVCPUs || q.Check() != nil {
			t.Errorf("%s is %+v with %d in use, want %v", name, q, used, want)
		}
	}
	// No type counts against two quotas.
	for _, kind := range []string{"p5.48xlarge", "trn1.2xlarge", "inf2.xlarge", "i4i.xlarge", "im4gn.xlarge", "t3.large", "g6.xlarge", "m7i.xlarge", "u-6tb1.metal", "d3.xlarge", "a1.large", "r7g.xlarge"} {
		n := 0
		for _, q := range h.Quotas {
			if q.Weight(offer(kind, "use1-az1", purser.OnDemand, 1)) > 0 {
				n++
			}
		}
		if n != 1 {
			t.Errorf("%s counts against %d quotas", kind, n)
		}
	}
}

func find(h providers.Headroom, name string) (purser.Quota, int64) {
	for _, q := range h.Quotas {
		if q.Name == name {
			return q, h.Used[name]
		}
	}
	return purser.Quota{}, -1
}

// TestReserved lists reservations and blocks as offers that can be launched.
func TestReserved(t *testing.T) {
	w := fresh(t)
	begin, end := w.clock.now().Add(24*time.Hour), w.clock.now().Add(72*time.Hour)
	w.Reserve("us-east-1", awstest.Reservation{ID: "cr-1", Type: "g6f.large", Zone: "use1-az1", Total: 5, Free: 3, State: "active"})
	w.Reserve("us-east-1", awstest.Reservation{ID: "cr-2", Type: "p5en.48xlarge", Zone: "use1-az2", Block: true, Total: 2, State: "scheduled", From: begin, Until: end})
	w.Reserve("us-east-1", awstest.Reservation{ID: "cr-3", Type: "trn2.48xlarge", Zone: "use1-az2", Total: 1, Free: 1, State: "active"})
	w.Reserve("us-east-1", awstest.Reservation{ID: "cr-4", Type: "f2.6xlarge", Zone: "use1-az2", Total: 1, Free: 1, State: "active"})
	w.Reserve("us-east-1", awstest.Reservation{ID: "cr-5", Type: "m7i.xlarge", Zone: "use1-az2", Total: 1, Free: 1, State: "cancelled"})
	h, err := w.provider(t).Quotas(t.Context())
	if err != nil || len(h.Reserved) != 4 {
		t.Fatalf("got %+v, %v", h.Reserved, err)
	}
	for i, want := range []struct {
		id          purser.OfferID
		accelerator string
		devices     purser.MilliDevices
		total, free int
	}{
		{"aws/us-east-1/use1-az1/g6f.large/reserved", "L4", 125, 5, 3},
		{"aws/us-east-1/use1-az2/p5en.48xlarge/capacity_block", "H200", 8000, 2, 2},
		{"aws/us-east-1/use1-az2/trn2.48xlarge/reserved", "TRAINIUM2", 16000, 1, 1},
		{"aws/us-east-1/use1-az2/f2.6xlarge/reserved", "VU47P", 1000, 1, 1},
	} {
		r := h.Reserved[i]
		if r.Offer.ID() != want.id || r.Offer.Accelerator != want.accelerator || r.Offer.Devices != want.devices || r.Total != want.total || r.Free != want.free || r.Offer.Limit != want.free {
			t.Errorf("reservation %d is %+v", i, r)
		}
		if err := r.Offer.Check(); err != nil || r.Offer.MilliCPU == 0 {
			t.Errorf("reservation %s: %v", r.ID, err)
		}
	}
	if b := h.Reserved[1]; !b.From.Equal(begin) || !b.Until.Equal(end.Add(-30*time.Minute)) {
		t.Errorf("the block is from %s until %s", b.From, b.Until)
	}
}

// TestQuotasAreWhole gives no answer where a region gives none.
func TestQuotasAreWhole(t *testing.T) {
	for _, action := range []string{"servicequotas:ListServiceQuotas", "ec2:DescribeInstances", "ec2:DescribeCapacityReservations"} {
		w := fresh(t, "us-east-1", "us-west-2")
		w.Fault = func(a, region string) (int, string, string) {
			if a == action && region == "us-west-2" {
				return 403, "AccessDeniedException", "no"
			}
			return 0, "", ""
		}
		h, err := w.provider(t).Quotas(t.Context())
		refusal(t, err, purser.KindForbidden)
		if len(h.Quotas)+len(h.Reserved) != 0 {
			t.Errorf("%s: a part was given", action)
		}
	}
}
