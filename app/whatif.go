package app

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"purser"
	"purser/api"
	"purser/optimizer"
	"purser/server"
)

// Ask plans for the world as it is and for a changed one.
func (p plansPart) Ask(ctx context.Context, q server.WhatIfQuery) (api.WhatIfAnswer, error) {
	var out api.WhatIfAnswer
	in, done, err := p.question(ctx, !q.Moves)
	if err != nil {
		return out, err
	}
	defer done()
	changed, err := scenarioOf(q.WhatIf).Apply(in)
	if err != nil {
		return out, err
	}
	names := named(q.Jobs)
	changed.Jobs = demandInForce(append(slices.Clone(changed.Jobs), q.Jobs...), changed.Now)
	now, err := p.solveInput(ctx, in, p.askedTime()/2)
	if err != nil {
		return out, err
	}
	then, err := p.solveInput(ctx, changed, p.askedTime()/2)
	if err != nil {
		return out, err
	}
	stored := p.namesOf(ctx)
	name := func(id purser.JobID) string {
		if n, ok := names[id]; ok {
			return n
		}
		return stored(id)
	}
	out.Now, out.Then = api.PlanOf(now, name), api.PlanOf(then, name)
	out.PerDay, out.Sure = difference(now, then)
	out.Rate = then.UnitPrice - now.UnitPrice
	out.Sentence = answer(out.PerDay, out.Sure, missed(then)-missed(now))
	return out, nil
}

// question waits for the turn to plan and gives what a plan is made from now. done must be
// called when the answer is known.
func (p plansPart) question(ctx context.Context, keep bool) (in optimizer.Input, done func(), err error) {
	if done, err = p.takeTurn(ctx); err != nil {
		return in, nil, err
	}
	snap, err := p.db.Snapshot(ctx)
	if err == nil {
		in, err = p.inputNow(ctx, snap, nil, keep)
	}
	if err != nil {
		done()
	}
	return in, done, err
}

// named gives jobs that are asked about ids of their own, and their names by id.
func named(jobs []purser.Job) map[purser.JobID]string {
	names := map[purser.JobID]string{}
	for i := range jobs {
		jobs[i].ID = purser.JobID("whatif-" + jobs[i].Project + "/" + jobs[i].Name)
		names[jobs[i].ID] = jobs[i].Name
	}
	return names
}

func scenarioOf(q api.WhatIf) optimizer.Scenario {
	s := optimizer.Scenario{Lost: q.Lose}
	for _, f := range q.Prices {
		s.Prices = append(s.Prices, optimizer.PriceFactor(f))
	}
	for _, m := range q.More {
		s.More = append(s.More, optimizer.Extra(m))
	}
	return s
}

// difference is what the second plan costs more than the first in a day of their
// horizon, with what is promised in each. It is sure when no plan for the one world can
// cost what the plan for the other does.
func difference(now, then purser.Plan) (perDay purser.Money, sure bool) {
	days := max(now.Horizon.Hours(), 1) / 24
	promised := promisedIn(then) - promisedIn(now)
	perDay = purser.Money(float64(then.Objective+promised-now.Objective) / days)
	return perDay, then.Bound+promised > now.Objective || then.Objective+promised < now.Bound
}

// promisedIn is what commitments cost over a plan's horizon.
func promisedIn(p purser.Plan) (sum purser.Money) {
	for _, c := range p.Commitments {
		sum += c.UnitPrice.For(p.Horizon)
	}
	return sum
}

// missed counts the replicas that a plan does not place.
func missed(p purser.Plan) (n int) {
	for _, u := range p.Unplaced {
		n += u.Replicas
	}
	return n
}

// answer is the difference of two plans in a sentence.
func answer(perDay purser.Money, sure bool, more int) string {
	var parts []string
	switch {
	case perDay > 0:
		parts = append(parts, fmt.Sprintf("it costs %s a day more", perDay))
	case perDay < 0:
		parts = append(parts, fmt.Sprintf("it saves %s a day", -perDay))
	default:
		parts = append(parts, "it costs the same")
	}
	switch {
	case more > 0:
		parts = append(parts, fmt.Sprintf("and %s without a place", replicas(more, "is", "are")))
	case more < 0:
		parts = append(parts, fmt.Sprintf("and %s placed that now %s not", replicas(-more, "is", "are"), map[bool]string{true: "is", false: "are"}[more == -1]))
	case perDay != 0 && !sure:
		parts = append(parts, "as far as was searched: the difference is within what the plans leave unproven")
	}
	return strings.Join(parts, ", ") + "."
}

func replicas(n int, one, many string) string {
	if n == 1 {
		return "one replica more " + one
	}
	return fmt.Sprintf("%d replicas more %s", n, many)
}

// The limits that Worth tries at most, and the time for each.
const (
	worthSteps = 8
	worthTime  = 2 * time.Second
)

// Worth plans anew with a little more of each limit that the plan for now has used up.
func (p plansPart) Worth(ctx context.Context) (api.Worth, error) {
	var out api.Worth
	in, done, err := p.question(ctx, true)
	if err != nil {
		return out, err
	}
	defer done()
	now, err := p.solveInput(ctx, in, p.askedTime()/3)
	if err != nil {
		return out, err
	}
	out.Objective = now.Objective
	ends := time.Now().Add(p.askedTime())
	for _, b := range optimizer.Bottlenecks(in, now) {
		if len(out.Steps) == worthSteps || time.Now().After(ends) {
			out.Left++
			continue
		}
		changed, err := optimizer.Scenario{More: []optimizer.Extra{b.Extra}}.Apply(in)
		if err != nil {
			return out, err
		}
		then, err := p.solveInput(ctx, changed, min(worthTime, p.config.PlanTime))
		if err != nil {
			return out, err
		}
		out.Steps = append(out.Steps, worthOf(b, now, then))
	}
	slices.SortStableFunc(out.Steps, func(x, y api.WorthStep) int {
		if x.Places != y.Places {
			return y.Places - x.Places
		}
		return int(min(max((y.PerDay-x.PerDay)/1000, -1), 1))
	})
	return out, nil
}

// worthOf says what one step of a limit is worth. What is placed besides costs money,
// and is no loss.
func worthOf(b optimizer.Bottleneck, now, then purser.Plan) api.WorthStep {
	perDay, sure := difference(now, then)
	s := api.WorthStep{Name: b.Name, Unit: b.Unit, More: b.Count, Places: max(0, missed(now)-missed(then))}
	what := fmt.Sprintf("%d %s more of %s", b.Count, strings.ReplaceAll(b.Unit, "_", " "), b.Name)
	if b.Unit == purser.QuotaMachines && b.Count == 1 {
		what = "one more machine of " + b.Name
	}
	switch {
	case s.Places > 0:
		s.Sure = true
		s.Sentence = fmt.Sprintf("%s would place %d more; that costs %s a day", what, s.Places, perDay)
	case perDay < 0:
		s.PerDay, s.Sure = -perDay, sure
		s.Sentence = fmt.Sprintf("%s would save %s a day", what, s.PerDay)
		if !sure {
			s.Sentence += ", as far as was searched"
		}
	default:
		s.Sentence = what + " would save nothing"
	}
	return s
}
