package awstest

import (
	"context"
	"encoding/xml"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

func (f failure) ec2() reply {
	return reply{f.status, "text/xml;charset=UTF-8", fmt.Sprintf(
		"<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Response><Errors><Error><Code>%s</Code><Message>%s</Message></Error></Errors><RequestID>r-1</RequestID></Response>",
		escape(f.code), escape(f.message),
	)}
}

func escape(s string) string {
	var b strings.Builder
	_ = xml.EscapeText(&b, []byte(s)) // a Builder never fails
	return b.String()
}

// element writes name with its inner XML.
func element(name string, inner ...string) string {
	return "<" + name + ">" + strings.Join(inner, "") + "</" + name + ">"
}

func text(name, value string) string {
	if value == "" {
		return ""
	}
	return element(name, escape(value))
}

func stamp(name string, t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return element(name, t.UTC().Format("2006-01-02T15:04:05.000Z"))
}

// parameters are those that a call takes here; AWS refuses others, and so do we.
var parameters = map[string][]string{
	"ec2:RunInstances": {
		"MinCount", "MaxCount", "InstanceType", "ClientToken", "NetworkInterface", "Placement", "InstanceMarketOptions", "LaunchTemplate", "ImageId", "UserData",
		"InstanceInitiatedShutdownBehavior", "MetadataOptions", "BlockDeviceMapping", "IamInstanceProfile", "CapacityReservationSpecification", "TagSpecification",
	},
	"ec2:CreateFleet": {
		"Type", "ClientToken", "TargetCapacitySpecification", "LaunchTemplateConfigs", "TagSpecification", "SpotOptions", "OnDemandOptions",
	},
	"ec2:CreateLaunchTemplate":         {"LaunchTemplateName", "LaunchTemplateData", "TagSpecification", "ClientToken"},
	"ec2:DescribeLaunchTemplates":      {"LaunchTemplateName", "LaunchTemplateId", "Filter", "MaxResults", "NextToken"},
	"ec2:DeleteLaunchTemplate":         {"LaunchTemplateName", "LaunchTemplateId"},
	"ec2:DescribeInstances":            {"InstanceId", "Filter", "MaxResults", "NextToken"},
	"ec2:TerminateInstances":           {"InstanceId"},
	"ec2:CreateTags":                   {"ResourceId", "Tag"},
	"ec2:DescribeCapacityReservations": {"Filter", "MaxResults", "NextToken"},
	"ec2:DescribeInstanceTypes":        {"InstanceType", "MaxResults", "NextToken"},
}

// query answers a call of EC2. The caller holds mu.
func (c *Cloud) query(region, action string, form url.Values) reply {
	known, ok := parameters[action]
	if !ok || c.Lacks[action] {
		return failure{http.StatusBadRequest, "InvalidAction", "The action " + action + " is not valid for this web service."}.ec2()
	}
	for key := range form {
		top, _, _ := strings.Cut(key, ".")
		if top != "Action" && top != "Version" && !slices.Contains(known, top) {
			return refuse("UnknownParameter", "The parameter %s is not recognized", key).ec2()
		}
	}
	do := map[string]func(*site, url.Values) (string, *failure){
		"ec2:RunInstances": c.runInstances, "ec2:CreateFleet": c.createFleet, "ec2:CreateLaunchTemplate": c.createTemplate,
		"ec2:DescribeLaunchTemplates": c.describeTemplates, "ec2:DeleteLaunchTemplate": c.deleteTemplate, "ec2:DescribeInstances": c.describeInstances,
		"ec2:TerminateInstances": c.terminateInstances, "ec2:CreateTags": c.createTags, "ec2:DescribeCapacityReservations": c.describeReservations,
		"ec2:DescribeInstanceTypes": c.describeTypes,
	}[action]
	inner, fail := do(&site{c.in(region), region}, form)
	if fail != nil {
		return fail.ec2()
	}
	name := strings.TrimPrefix(action, "ec2:") + "Response"
	return reply{http.StatusOK, "text/xml;charset=UTF-8", `<?xml version="1.0" encoding="UTF-8"?>` + "\n" +
		fmt.Sprintf(`<%s xmlns="http://ec2.amazonaws.com/doc/2016-11-15/"><requestId>r-1</requestId>%s</%s>`, name, inner, name)}
}

// site is a region with its name.
type site struct {
	*region
	name string
}

// list reads Name.1, Name.2, …
func list(form url.Values, name string) (out []string) {
	for i := 1; form.Has(name + "." + strconv.Itoa(i)); i++ {
		out = append(out, form.Get(name+"."+strconv.Itoa(i)))
	}
	return out
}

// has says whether any parameter begins with the prefix.
func has(form url.Values, prefix string) bool {
	for key := range form {
		if key == prefix || strings.HasPrefix(key, prefix+".") {
			return true
		}
	}
	return false
}

// filters are the filters of a call by name.
func filters(form url.Values) map[string][]string {
	out := map[string][]string{}
	for i := 1; form.Has(fmt.Sprintf("Filter.%d.Name", i)); i++ {
		out[form.Get(fmt.Sprintf("Filter.%d.Name", i))] = list(form, fmt.Sprintf("Filter.%d.Value", i))
	}
	return out
}

// tagged says whether tags pass the filters of the form tag:KEY.
func passes(tags map[string]string, by map[string][]string) bool {
	for name, values := range by {
		if key, ok := strings.CutPrefix(name, "tag:"); ok && !slices.Contains(values, tags[key]) {
			return false
		}
	}
	return true
}

// page gives a part of what there is, and what stands behind it.
func page[T any](c *Cloud, all []T, form url.Values) ([]T, string, *failure) {
	from := 0
	if token := form.Get("NextToken"); token != "" {
		n, err := strconv.Atoi(strings.TrimPrefix(token, "page-"))
		if err != nil || n > len(all) {
			return nil, "", refuse("InvalidNextToken", "The token %q is invalid", token)
		}
		from = n
	}
	size := c.PageSize
	if most, err := strconv.Atoi(form.Get("MaxResults")); err == nil {
		if most < 1 || most > 1000 {
			return nil, "", refuse("InvalidMaxResults", "MaxResults must be between 5 and 1000")
		}
		size = min(size, most)
	}
	to, next := from+size, ""
	if to < len(all) {
		next = text("nextToken", "page-"+strconv.Itoa(to))
	}
	return all[from:min(to, len(all))], next, nil
}

func tagSet(tags map[string]string) string {
	var b strings.Builder
	for _, k := range sortedKeys(tags) {
		b.WriteString(element("item", text("key", k), element("value", escape(tags[k]))))
	}
	return element("tagSet", b.String())
}

// TagsFor are the tags that a machine's settings have for a type of resource.
func TagsFor(settings url.Values, resource string) map[string]string {
	return tagsFor(settings, "", resource)
}

// tagsFor reads TagSpecification of a resource type.
func tagsFor(form url.Values, prefix, what string) map[string]string {
	out := map[string]string{}
	for i := 1; form.Has(fmt.Sprintf("%sTagSpecification.%d.ResourceType", prefix, i)); i++ {
		at := fmt.Sprintf("%sTagSpecification.%d", prefix, i)
		if form.Get(at+".ResourceType") != what {
			continue
		}
		for n := 1; form.Has(fmt.Sprintf("%s.Tag.%d.Key", at, n)); n++ {
			out[form.Get(fmt.Sprintf("%s.Tag.%d.Key", at, n))] = form.Get(fmt.Sprintf("%s.Tag.%d.Value", at, n))
		}
	}
	return out
}

func delay(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}
