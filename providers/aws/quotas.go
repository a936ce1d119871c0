package aws

import (
	"cmp"
	"context"
	"regexp"
	"slices"
	"strings"

	awssdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/aws/aws-sdk-go-v2/service/servicequotas"
	quotatypes "github.com/aws/aws-sdk-go-v2/service/servicequotas/types"

	"purser"
	"purser/providers"
)

// AWS bounds the vCPUs of families of types, and names the families in the quota's name:
//
//	Running On-Demand Standard (A, C, D, H, I, M, R, T, Z) instances
//	All P4, P3 and P2 Spot Instance Requests
//
// The names are read rather than a list of codes, which grows with every new family.
// https://docs.aws.amazon.com/ec2/latest/instancetypes/ec2-instance-quotas.html
var (
	onDemandName = regexp.MustCompile(`^Running On-Demand (.+) instances$`)
	spotName     = regexp.MustCompile(`^All (.+) Spot Instance Requests$`)
	familyName   = regexp.MustCompile(`[A-Za-z]+[0-9]*`)
)

// members are families that count as another one, by the letters of their types.
var members = map[string]string{"gr": "g", "im": "i", "is": "i", "mac": ""}

// prefixes are how the types of a family begin, where its own letters would take in
// another family too: trn begins with t, and inf with i.
var prefixes = map[string][]string{
	"d": {"d2", "d3"}, "h": {"h1"}, "i": {"i2", "i3", "i4", "i7", "i8", "im", "is"}, "t": {"t1", "t2", "t3", "t4"},
}

// vcpuQuota is a quota of vCPUs of a region.
type vcpuQuota struct {
	option   purser.PurchaseOption
	families []string // letters, and a generation where the quota is for that one alone: p5
	limit    int64
	used     int64
}

// vcpuQuotaOf reads a quota; false for those that are about something else.
func vcpuQuotaOf(q quotatypes.ServiceQuota) (vcpuQuota, bool) {
	out, name := vcpuQuota{limit: int64(awssdk.ToFloat64(q.Value))}, awssdk.ToString(q.QuotaName)
	if part := onDemandName.FindStringSubmatch(name); part != nil {
		out.option, name = purser.OnDemand, part[1]
	} else if part := spotName.FindStringSubmatch(name); part != nil {
		out.option, name = purser.Spot, part[1]
	} else {
		return out, false
	}
	if name == "High Memory" {
		name = "U" // as their types are called
	}
	for _, word := range familyName.FindAllString(name, -1) {
		if word != "and" && word != "Standard" {
			out.families = append(out.families, strings.ToLower(word))
		}
	}
	return out, len(out.families) > 0
}

// covers says whether machines of a type count against the quota.
func (q vcpuQuota) covers(instanceType string) bool {
	part := typeForm.FindStringSubmatch(instanceType)
	if part == nil {
		return false
	}
	letters, generation := part[1], part[2]
	if as, ok := members[letters]; ok {
		letters = as
	}
	return letters != "" && (slices.Contains(q.families, letters) || slices.Contains(q.families, letters+generation))
}

// quota is the quota as Purser has it, named after its families.
func (q vcpuQuota) quota(region string) purser.Quota {
	var ways, names []string
	for _, family := range q.families {
		names = append(names, strings.ToUpper(family))
		if own := prefixes[family]; own != nil {
			ways = append(ways, own...)
		} else {
			ways = append(ways, family)
		}
	}
	return purser.Quota{
		Name:  strings.Join([]string{Name, region, string(q.option), strings.Join(names, "+")}, "/"),
		Limit: q.limit, Unit: purser.QuotaVCPUs, Provider: Name, Region: region, Option: q.option, TypePrefix: strings.Join(ways, ","),
	}
}

// Quotas reads the limits of vCPUs from Service Quotas, counts the machines of the
// account, and lists its capacity reservations and blocks.
func (p *Provider) Quotas(ctx context.Context) (providers.Headroom, error) {
	parts := make([]providers.Headroom, len(p.c.Regions))
	err := p.everywhere(ctx, p.c.Regions, func(ctx context.Context, i int, region string) (err error) {
		parts[i], err = p.headroom(ctx, region)
		return err
	})
	if err != nil {
		return providers.Headroom{}, err
	}
	all := providers.Headroom{Used: map[string]int64{}}
	for _, h := range parts {
		all.Quotas, all.Reserved = append(all.Quotas, h.Quotas...), append(all.Reserved, h.Reserved...)
		for name, n := range h.Used {
			all.Used[name] = n
		}
	}
	slices.SortFunc(all.Quotas, func(a, b purser.Quota) int { return cmp.Compare(a.Name, b.Name) })
	return all, nil
}

// occupying are the states of machines that count against quotas.
var occupying = filter("instance-state-name", "pending", "running", "stopping", "shutting-down")

func (p *Provider) headroom(ctx context.Context, region string) (providers.Headroom, error) {
	h := providers.Headroom{Used: map[string]int64{}}
	limits, err := p.vcpuQuotas(ctx, region)
	if err != nil {
		return h, err
	}
	err = p.instances(ctx, opQuotas, region, []types.Filter{occupying}, func(i types.Instance) {
		option := purser.OnDemand
		switch i.InstanceLifecycle {
		case types.InstanceLifecycleTypeSpot:
			option = purser.Spot
		case types.InstanceLifecycleTypeCapacityBlock:
			return // blocks have no such quota
		default:
		}
		for n := range limits {
			if limits[n].option == option && limits[n].covers(string(i.InstanceType)) && i.CpuOptions != nil {
				limits[n].used += int64(awssdk.ToInt32(i.CpuOptions.CoreCount)) * int64(awssdk.ToInt32(i.CpuOptions.ThreadsPerCore))
				break
			}
		}
	})
	if err != nil {
		return h, err
	}
	for _, l := range limits {
		q := l.quota(region)
		h.Quotas, h.Used[q.Name] = append(h.Quotas, q), l.used
	}
	h.Reserved, err = p.reserved(ctx, region)
	return h, err
}

// vcpuQuotas are the region's limits as they were granted, and AWS's own where nothing was.
func (p *Provider) vcpuQuotas(ctx context.Context, region string) ([]vcpuQuota, error) {
	var out []vcpuQuota
	seen := map[string]bool{}
	add := func(all []quotatypes.ServiceQuota) {
		for _, q := range all {
			code := awssdk.ToString(q.QuotaCode)
			if v, ok := vcpuQuotaOf(q); ok && !seen[code] {
				seen[code] = true
				out = append(out, v)
			}
		}
	}
	client, ec2, most := p.serviceQuotas(region), awssdk.String("ec2"), awssdk.Int32(100)
	granted := servicequotas.NewListServiceQuotasPaginator(client, &servicequotas.ListServiceQuotasInput{ServiceCode: ec2, MaxResults: most})
	for granted.HasMorePages() {
		page, err := granted.NextPage(ctx)
		if err != nil {
			return nil, failed(ctx, opQuotas, "servicequotas:ListServiceQuotas in "+region, err)
		}
		add(page.Quotas)
	}
	defaults := servicequotas.NewListAWSDefaultServiceQuotasPaginator(client, &servicequotas.ListAWSDefaultServiceQuotasInput{ServiceCode: ec2, MaxResults: most})
	for defaults.HasMorePages() {
		page, err := defaults.NextPage(ctx)
		if err != nil {
			return nil, failed(ctx, opQuotas, "servicequotas:ListAWSDefaultServiceQuotas in "+region, err)
		}
		add(page.Quotas)
	}
	return out, nil
}
