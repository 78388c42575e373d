package request

import (
	"reflect"
	"strings"

	"github.com/go-playground/validator/v10"
)

// location turns validator's "Request.grants.tags[2]" into
// "body.grants.tags[2]", and its "attributes[key]" of a map into
// "attributes.key".
func location(rule validator.FieldError) string {
	_, path, _ := strings.Cut(rule.Namespace(), ".")
	path = strings.ReplaceAll(path, embedded+".", "")
	if open := strings.LastIndexByte(path, '['); open >= 0 && strings.HasSuffix(path, "]") {
		if key := path[open+1 : len(path)-1]; strings.Trim(key, "0123456789") != "" {
			path = path[:open] + "." + clip(key)
		}
	}
	return root + "." + path
}

// message says what a rule requires. It continues a sentence that begins with
// the field's location.
func message(rule validator.FieldError) string {
	param := rule.Param()
	switch rule.Tag() {
	case "required", "required_with", "required_without", "required_if", "required_unless":
		return "is required"
	case "excluded_with", "excluded_without", "excluded_if", "excluded_unless":
		return "must not be combined with the other fields given"
	case "min", "gte":
		return "must be at least " + amount(rule)
	case "max", "lte":
		return "must be at most " + amount(rule)
	case "len":
		return "must be exactly " + amount(rule)
	case "gt":
		return "must be more than " + amount(rule)
	case "lt":
		return "must be less than " + amount(rule)
	case "maxbytes":
		return "must be at most " + param + " bytes long"
	case "maxtotal":
		return "must be at most " + param + " bytes in all"
	case "email", "mailbox":
		return "must be an e-mail address"
	case "oneof":
		return "must be one of: " + strings.Join(strings.Fields(param), ", ")
	case "unique":
		return "must not contain duplicates"
	case "roomname":
		return `must be 1 to 128 printable characters and at most 215 bytes, none of / \ { }`
	case "line":
		return "must be one line without control characters"
	case "notblank":
		return "must not be blank"
	case "region":
		return "must be lower-case letters, digits and hyphens"
	case "origin":
		return "must be an origin such as https://app.example.com"
	case "uncommon":
		return "is a commonly used password; choose another"
	case "url", "http_url", "https_url", "uri":
		return "must be a URL with scheme and host"
	case "ip", "ip4_addr", "ip6_addr":
		return "must be an IP address"
	case "cidr", "ip|cidr", "cidr|ip":
		return "must be an IP address or range such as 203.0.113.0/24"
	case "base64":
		return "must be base64"
	default:
		return "is not valid (" + rule.Tag() + ")"
	}
}

// amount is a rule's number with the unit its field is counted in.
func amount(rule validator.FieldError) string {
	unit := ""
	switch rule.Kind() {
	case reflect.String:
		unit = "character"
	case reflect.Slice, reflect.Map, reflect.Array:
		unit = "item"
	default:
		return rule.Param()
	}
	if rule.Param() != "1" {
		unit += "s"
	}
	if rule.Kind() == reflect.String {
		unit += " long"
	}
	return rule.Param() + " " + unit
}
