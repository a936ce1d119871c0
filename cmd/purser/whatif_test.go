package main

import (
	"bytes"
	"reflect"
	"strings"
	"testing"

	"purser"
	"purser/api"
)

func TestChangesOfTheWorldAreRead(t *testing.T) {
	prices, err := priceFactors([]string{"option=spot,factor=1.5", "provider=aws,region=r,type=p5,factor=2"})
	want := []api.PriceFactor{{Option: purser.Spot, Factor: 1.5}, {Provider: "aws", Region: "r", InstanceType: "p5", Factor: 2}}
	if err != nil || !reflect.DeepEqual(prices, want) {
		t.Errorf("%+v, %v", prices, err)
	}
	more, err := mores([]string{"rack1=1", "a=b=-8"})
	if err != nil || !reflect.DeepEqual(more, []api.More{{Name: "rack1", Count: 1}, {Name: "a=b", Count: -8}}) {
		t.Errorf("%+v, %v", more, err)
	}
	for _, bad := range []string{"", "factor=x", "option=spot", "zone=a,factor=2", "factor=0"} {
		if _, err := priceFactors([]string{bad}); err == nil || !strings.Contains(err.Error(), "--price") {
			t.Errorf("--price %q: %v", bad, err)
		}
	}
	for _, bad := range []string{"", "a", "=1", "a=", "a=0", "a=1.5"} {
		if _, err := mores([]string{bad}); err == nil || !strings.Contains(err.Error(), "--more") {
			t.Errorf("--more %q: %v", bad, err)
		}
	}
}

func TestAnswersAreShown(t *testing.T) {
	var out bytes.Buffer
	plan := api.Plan{HorizonHours: 24, Objective: purser.MoneyOf(48), UnitPrice: purser.USDPerHourOf(2), Gap: 0.001, Summary: "One thing runs."}
	then := plan
	then.Objective, then.Unplaced = purser.MoneyOf(60), []api.PlanUnplaced{{Job: "j", Group: "g", Replicas: 3, Reason: "no room"}}
	if err := printAnswer(&out, api.WhatIfAnswer{Sentence: "it costs $12.00 a day more.", Now: plan, Then: then}); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"It costs $12.00 a day more.", "COST OF 24 H", "now", "$48.00", "then", "$60.00", "0.100 %", "One thing runs."} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, out.String())
		}
	}
	out.Reset()
	if err := printWorth(&out, api.Worth{Left: 2, Steps: []api.WorthStep{{Sentence: "one more would save $1.00 a day"}}}); err != nil || out.String() != "One more would save $1.00 a day.\n2 further limits were not tried.\n" {
		t.Errorf("%q, %v", out.String(), err)
	}
	out.Reset()
	front := api.Front{Points: []api.FrontPoint{{Hours: 12, Objective: purser.MoneyOf(12)}, {Hours: 3, Objective: purser.MoneyOf(27), Extra: purser.MoneyOf(15)}}}
	if err := printFront(&out, front, api.AgainstTime); err != nil || !strings.Contains(out.String(), "12.0 h") || !strings.Contains(out.String(), "+$15.00") || strings.Count(out.String(), "#") != 30+8 {
		t.Errorf("%s, %v", out.String(), err)
	}
	out.Reset()
	front = api.Front{Points: []api.FrontPoint{{Hours: 12, CarbonKg: 40}, {Hours: 12, CarbonKg: 4}}}
	if err := printFront(&out, front, api.AgainstCarbon); err != nil || !strings.Contains(out.String(), "40 kg") || strings.Count(out.String(), "#") != 30+3 {
		t.Errorf("%s, %v", out.String(), err)
	}
	out.Reset()
	if err := printFront(&out, api.Front{Reason: "no training is planned"}, api.AgainstTime); err != nil || out.String() != "No training is planned.\n" {
		t.Errorf("%q, %v", out.String(), err)
	}
}
