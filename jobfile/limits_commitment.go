package jobfile

import "purser"

var commitmentTable = table[purser.Commitment]{what: "a commitment", fields: []field[purser.Commitment]{
	{"name", func(_ *reader, c *purser.Commitment, v value) (err error) { c.Name, err = v.word(); return }},
	{"provider", func(_ *reader, c *purser.Commitment, v value) (err error) { c.Provider, err = v.provider(); return }},
	{"region", func(_ *reader, c *purser.Commitment, v value) (err error) { c.Region, err = v.word(); return }},
	{"accelerator", func(_ *reader, c *purser.Commitment, v value) error {
		m, err := v.oneModel(false)
		c.Accelerator = m.name
		return err
	}},
	{"instance_type_prefix", func(_ *reader, c *purser.Commitment, v value) (err error) { c.TypePrefix, err = v.word(); return }},
	{"usd_per_hour", func(_ *reader, c *purser.Commitment, v value) error {
		var err error
		if c.UnitPrice, err = v.price(); err == nil && c.UnitPrice <= 0 {
			err = v.fail("", "what is promised must be above 0")
		}
		return err
	}},
	{"discount", func(_ *reader, c *purser.Commitment, v value) error {
		var err error
		if c.Discount, err = v.share(1); err == nil && c.Discount == 1 {
			err = v.fail("", "a discount lies below 100%%")
		}
		return err
	}},
}}

func readCommitments(r *reader, list value) ([]purser.Commitment, error) {
	var out []purser.Commitment
	first := map[string]int{}
	for _, item := range list.items() {
		var c purser.Commitment
		w, err := commitmentTable.read(r, item, &c)
		if err != nil {
			return nil, err
		}
		for _, need := range []string{"name", "provider", "usd_per_hour", "discount"} {
			if !w.has(need) {
				return nil, item.fail("write {name: aws-savings-plan, provider: aws, usd_per_hour: 10, discount: 40%}", "a commitment needs %s", need)
			}
		}
		if line, ok := first[c.Name]; ok {
			return nil, w["name"].fail("", "two commitments are named %q; the first stands in line %d", clip(c.Name), line)
		}
		first[c.Name] = w["name"].at.Line
		if err := c.Check(); err != nil {
			return nil, item.fail("", "%s", err)
		}
		out = append(out, c)
	}
	return out, nil
}
