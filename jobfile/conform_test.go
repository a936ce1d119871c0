package jobfile

import (
	"encoding/json"
	"fmt"
	"math"
	"reflect"
	"regexp"
	"strings"
	"time"
)

// conforms checks v against the part of JSON Schema that our schemas use, and
// says what is wrong, or "". A keyword that it does not know is wrong too.
func conforms(root, s map[string]any, v any, at string) string {
	if t, ok := v.(time.Time); ok {
		v = t.Format(time.RFC3339) // schemas know no times; YAML does
	}
	for key, rule := range s {
		if bad := keyword(root, s, key, rule, v, at); bad != "" {
			return bad
		}
	}
	return ""
}

func keyword(root, s map[string]any, key string, rule, v any, at string) string {
	switch key {
	case "$schema", "$defs", "title", "description", "default":
		return ""
	case "$ref":
		name := strings.TrimPrefix(rule.(string), "#/$defs/")
		return conforms(root, root["$defs"].(map[string]any)[name].(map[string]any), v, at)
	case "anyOf", "oneOf":
		good, bad := 0, ""
		for _, alternative := range rule.([]any) {
			if e := conforms(root, alternative.(map[string]any), v, at); e == "" {
				good++
			} else {
				bad = e
			}
		}
		if good == 0 {
			return "none of the alternatives fits: " + bad
		}
		if key == "oneOf" && good > 1 {
			return at + ": several alternatives fit"
		}
		return ""
	case "not":
		if conforms(root, rule.(map[string]any), v, at) == "" {
			return at + ": fits what it must not"
		}
		return ""
	case "const":
		return mustBe(same(rule, v), "%s: not %v", at, rule)
	case "enum":
		for _, r := range rule.([]any) {
			if same(r, v) {
				return ""
			}
		}
		return fmt.Sprintf("%s: %v is not one of %v", at, v, rule)
	case "type":
		types, ok := rule.([]any)
		if !ok {
			types = []any{rule}
		}
		for _, t := range types {
			if hasType(t.(string), v) {
				return ""
			}
		}
		return fmt.Sprintf("%s: %T is not of type %v", at, v, rule)
	}
	switch v := v.(type) {
	case string:
		return stringKeyword(key, rule, v, at)
	case map[string]any:
		return objectKeyword(root, s, key, rule, v, at)
	case []any:
		return arrayKeyword(root, key, rule, v, at)
	default:
		return numberKeyword(key, rule, v, at)
	}
}

func mustBe(ok bool, format string, args ...any) string {
	if ok {
		return ""
	}
	return fmt.Sprintf(format, args...)
}

// same compares as JSON does, where 1 and 1.0 are one value.
func same(a, b any) bool {
	x, errX := json.Marshal(a)
	y, errY := json.Marshal(b)
	return errX == nil && errY == nil && string(x) == string(y)
}

func hasType(name string, v any) bool {
	switch v := v.(type) {
	case string:
		return name == "string"
	case bool:
		return name == "boolean"
	case int:
		return name == "integer" || name == "number"
	case float64:
		return name == "number" || (name == "integer" && v == math.Trunc(v))
	case []any:
		return name == "array"
	case map[string]any:
		return name == "object"
	}
	return false
}

func stringKeyword(key string, rule any, v, at string) string {
	switch key {
	case "pattern":
		return mustBe(regexp.MustCompile(rule.(string)).MatchString(v), "%s: %q does not match %v", at, v, rule)
	case "minLength":
		return mustBe(len(v) >= int(rule.(float64)), "%s: too short", at)
	}
	return elsewhere(key)
}

func numberKeyword(key string, rule, v any, at string) string {
	n, ok := v.(float64)
	if i, isInt := v.(int); isInt {
		n, ok = float64(i), true
	}
	limit, isNumber := rule.(float64)
	if !ok || !isNumber {
		return elsewhere(key)
	}
	switch key {
	case "minimum":
		return mustBe(n >= limit, "%s: below %v", at, limit)
	case "maximum":
		return mustBe(n <= limit, "%s: above %v", at, limit)
	case "exclusiveMinimum":
		return mustBe(n > limit, "%s: not above %v", at, limit)
	case "exclusiveMaximum":
		return mustBe(n < limit, "%s: not below %v", at, limit)
	}
	return elsewhere(key)
}

func arrayKeyword(root map[string]any, key string, rule any, v []any, at string) string {
	switch key {
	case "items":
		for i, item := range v {
			if bad := conforms(root, rule.(map[string]any), item, fmt.Sprintf("%s[%d]", at, i)); bad != "" {
				return bad
			}
		}
		return ""
	case "minItems":
		return mustBe(len(v) >= int(rule.(float64)), "%s: too few", at)
	case "maxItems":
		return mustBe(len(v) <= int(rule.(float64)), "%s: too many", at)
	case "uniqueItems":
		for i := range v {
			for j := range i {
				if reflect.DeepEqual(v[i], v[j]) {
					return at + ": twice the same"
				}
			}
		}
		return ""
	}
	return elsewhere(key)
}

func objectKeyword(root, s map[string]any, key string, rule any, v map[string]any, at string) string {
	properties, _ := s["properties"].(map[string]any)
	switch key {
	case "required":
		for _, name := range rule.([]any) {
			if _, ok := v[name.(string)]; !ok {
				return fmt.Sprintf("%s: %v is missing", at, name)
			}
		}
		return ""
	case "properties":
		for name, value := range v {
			if p, ok := properties[name].(map[string]any); ok {
				if bad := conforms(root, p, value, at+"."+name); bad != "" {
					return bad
				}
			}
		}
		return ""
	case "additionalProperties":
		for name, value := range v {
			if properties[name] != nil {
				continue
			}
			allowed, ok := rule.(map[string]any)
			if !ok {
				return at + ": unknown field " + name
			}
			if bad := conforms(root, allowed, value, at+"."+name); bad != "" {
				return bad
			}
		}
		return ""
	case "propertyNames":
		for name := range v {
			if bad := conforms(root, rule.(map[string]any), name, at); bad != "" {
				return bad
			}
		}
		return ""
	case "minProperties":
		return mustBe(len(v) >= int(rule.(float64)), "%s: too few", at)
	case "maxProperties":
		return mustBe(len(v) <= int(rule.(float64)), "%s: too many", at)
	}
	return elsewhere(key)
}

// elsewhere passes keywords of another type, as JSON Schema has it, and refuses
// unknown ones.
func elsewhere(key string) string {
	switch key {
	case "pattern", "minLength", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "items", "minItems", "maxItems", "uniqueItems",
		"required", "properties", "additionalProperties", "propertyNames", "minProperties", "maxProperties":
		return ""
	}
	return "this test does not know the keyword " + key
}
