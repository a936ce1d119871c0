package purser

import (
	"fmt"
	"time"
)

// DemandHours is another demand of an inference group at certain hours of each day.
type DemandHours struct {
	From   int     `json:"from_minute"` // of the day, in the group's time zone
	To     int     `json:"to_minute"`   // not included; before From: of the next day
	Demand float64 `json:"demand_rps"`  // requests per second
}

// covers says whether a minute of the day lies in the hours.
func (h DemandHours) covers(minute int) bool {
	if h.From < h.To {
		return h.From <= minute && minute < h.To
	}
	return minute >= h.From || minute < h.To
}

// Limits on the hours of one group.
const (
	minutesPerDay  = 24 * 60
	MaxDemandHours = 48
)

// DemandAt is the demand by a clock that shows the group's time zone: that of the first
// hours that cover the moment, else Demand.
func (g TaskGroup) DemandAt(clock time.Time) float64 {
	minute := 60*clock.Hour() + clock.Minute()
	for _, h := range g.DemandHours {
		if h.covers(minute) {
			return h.Demand
		}
	}
	return g.Demand
}

// MaxDemand is the highest demand of any hour.
func (g TaskGroup) MaxDemand() float64 {
	most := g.Demand
	for _, h := range g.DemandHours {
		most = max(most, h.Demand)
	}
	return most
}

// checkHours checks the hours of an inference group.
func (g TaskGroup) checkHours(bad func(field, message string) error) error {
	switch n := len(g.DemandHours); {
	case n == 0 && g.TimeZone != "":
		return bad("time_zone", "a time zone belongs to demand_at")
	case n > MaxDemandHours:
		return bad("demand_hours", fmt.Sprintf("a group has at most %d hours of another demand", MaxDemandHours))
	case n > 0 && g.Demand == 0:
		return bad("demand_hours", "give the demand at all other hours")
	}
	for i, h := range g.DemandHours {
		at := fmt.Sprintf("demand_hours[%d]", i)
		switch {
		case h.From < 0 || h.From >= minutesPerDay || h.To < 0 || h.To > minutesPerDay || h.From == h.To:
			return bad(at, "hours go from one time of the day to another, such as 08:00 to 18:00")
		case !(h.Demand > 0 && h.Demand <= maxAmount):
			return bad(at, "demand is a number of requests per second, above 0")
		}
	}
	return nil
}
