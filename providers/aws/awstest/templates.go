package awstest

import (
	"maps"
	"net/url"
	"slices"
	"strings"
	"time"
)

// Template is a launch template.
type Template struct {
	ID, Name string
	Made     time.Time
	Tags     map[string]string
	Data     url.Values // LaunchTemplateData, without that prefix
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

func (t *Template) xml() string {
	return text("launchTemplateId", t.ID) + text("launchTemplateName", t.Name) + stamp("createTime", t.Made) +
		text("defaultVersionNumber", "1") + text("latestVersionNumber", "1") + tagSet(t.Tags)
}

func (c *Cloud) createTemplate(r *site, form url.Values) (string, *failure) {
	name := form.Get("LaunchTemplateName")
	token := "template " + form.Get("ClientToken")
	if done, ok := r.tokens[token]; ok {
		if done.parameters != canonical(form) {
			return "", refuse("IdempotentParameterMismatch", "the client token was used with other parameters")
		}
		return done.text, nil
	}
	switch {
	case len(name) < 3 || len(name) > 128:
		return "", refuse("InvalidLaunchTemplateName.MalformedException", "Name must be between 3 and 128 characters")
	case r.templates[name] != nil:
		return "", refuse("InvalidLaunchTemplateName.AlreadyExistsException", "Launch template name already in use.")
	}
	t := &Template{ID: c.id("lt"), Name: name, Made: c.Now(), Tags: tagsFor(form, "", "launch-template"), Data: url.Values{}}
	for key, v := range form {
		if k, ok := strings.CutPrefix(key, "LaunchTemplateData."); ok {
			t.Data[k] = v
		}
	}
	if len(t.Data) == 0 {
		return "", refuse("MissingParameter", "The request must contain the parameter LaunchTemplateData")
	}
	r.templates[name] = t
	out := element("launchTemplate", t.xml())
	r.tokens[token] = answered{parameters: canonical(form), text: out}
	return out, nil
}

// find finds a template by name or id.
func (r *site) find(name, id string) (*Template, *failure) {
	for _, t := range r.templates {
		if t.Name == name || t.ID == id {
			return t, nil
		}
	}
	if id != "" {
		return nil, refuse("InvalidLaunchTemplateId.NotFound", "The specified launch template, with template ID %s, does not exist.", id)
	}
	return nil, refuse("InvalidLaunchTemplateName.NotFoundException", "The specified launch template, with template name %s, does not exist.", name)
}

func (c *Cloud) describeTemplates(r *site, form url.Values) (string, *failure) {
	var found []*Template
	names := list(form, "LaunchTemplateName")
	for _, name := range names {
		t, fail := r.find(name, "")
		if fail != nil {
			return "", fail
		}
		found = append(found, t)
	}
	if len(names) == 0 {
		by := filters(form)
		for _, name := range sortedKeys(r.templates) {
			if t := r.templates[name]; passes(t.Tags, by) {
				found = append(found, t)
			}
		}
	}
	some, next, fail := page(c, found, form)
	if fail != nil {
		return "", fail
	}
	var b strings.Builder
	for _, t := range some {
		b.WriteString(element("item", t.xml()))
	}
	return element("launchTemplates", b.String()) + next, nil
}

func (c *Cloud) deleteTemplate(r *site, form url.Values) (string, *failure) {
	t, fail := r.find(form.Get("LaunchTemplateName"), form.Get("LaunchTemplateId"))
	if fail != nil {
		return "", fail
	}
	delete(r.templates, t.Name)
	return element("launchTemplate", t.xml()), nil
}

func (c *Cloud) createTags(r *site, form url.Values) (string, *failure) {
	for _, id := range list(form, "ResourceId") {
		t, fail := r.find("", id)
		if fail != nil {
			return "", fail
		}
		for i := 1; form.Has("Tag." + itoa(i) + ".Key"); i++ {
			t.Tags[form.Get("Tag."+itoa(i)+".Key")] = form.Get("Tag." + itoa(i) + ".Value")
		}
	}
	return element("return", "true"), nil
}

// canonical is all that a call says but its token.
func canonical(form url.Values) string {
	rest := maps.Clone(form)
	rest.Del("ClientToken")
	return rest.Encode()
}
