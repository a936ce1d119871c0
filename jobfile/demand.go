package jobfile

import (
	"fmt"
	"time"
	_ "time/tzdata" // time zones are known wherever Purser runs

	"purser"
)

// hours is another demand at certain hours, as it is read.
type hours struct {
	from, to int
	demand   rate
}

var demandAtTable = table[hours]{what: "a demand at certain hours", fields: []field[hours]{
	{"from", func(_ *reader, h *hours, v value) (err error) { h.from, err = v.timeOfDay(); return }},
	{"to", func(_ *reader, h *hours, v value) (err error) { h.to, err = v.timeOfDay(); return }},
	{"demand", func(_ *reader, h *hours, v value) error {
		var err error
		if h.demand, err = v.rate(); err == nil && h.demand.amount == 0 {
			err = v.fail("", "the demand must be above 0")
		}
		return err
	}},
}}

// timeOfDay reads 08:00 or 24:00 in minutes.
func (v value) timeOfDay() (int, error) {
	s, err := v.text(maxWord)
	if err != nil {
		return 0, err
	}
	var h, m int
	if n, err := fmt.Sscanf(s, "%d:%2d", &h, &m); err != nil || n != 2 || s != fmt.Sprintf("%02d:%02d", h, m) || h < 0 || m < 0 || m > 59 || h*60+m > 24*60 {
		return 0, v.fail("write it like 08:00 or 18:30", "%q is not a time of the day", clip(s))
	}
	return h*60 + m, nil
}

// readDemandAt reads a list of hours with their demand.
func readDemandAt(r *reader, g *group, v value) error {
	if !v.isList() {
		return v.wrong("a list", "write - {from: 08:00, to: 18:00, demand: 40/s}")
	}
	items := v.items()
	if len(items) == 0 || len(items) > purser.MaxDemandHours {
		return v.fail("", "a list of 1 to %d hours is expected", purser.MaxDemandHours)
	}
	for _, item := range items {
		var h hours
		w, err := demandAtTable.read(r, item, &h)
		if err != nil {
			return err
		}
		for _, need := range demandAtTable.names() {
			if !w.has(need) {
				return item.fail("write {from: 08:00, to: 18:00, demand: 40/s}", "it needs %s", need)
			}
		}
		if h.from == 24*60 || h.from == h.to {
			return item.fail("", "hours go from one time of the day to another")
		}
		g.noun.DemandHours = append(g.noun.DemandHours, purser.DemandHours{From: h.from, To: h.to, Demand: h.demand.in(time.Second)})
	}
	return nil
}

// readTimeZone reads the name of a time zone.
func readTimeZone(g *group, v value) error {
	s, err := v.text(maxWord)
	if err != nil {
		return err
	}
	if _, err := time.LoadLocation(s); err != nil || s == "Local" || s == "" {
		return v.fail("write its IANA name, such as Europe/Berlin", "%q is not a time zone", clip(s))
	}
	g.noun.TimeZone = s
	return nil
}
