package strictjson

import (
	"errors"
	"net/url"
	"reflect"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/go-playground/validator/v10"

	"pulse-control-plane/models"
	"pulse-control-plane/utils/passwords"
	"pulse-control-plane/utils/secret"
)

// embedded stands for the name of an embedded struct, whose fields read as if
// they stood in the struct around it.
const embedded = "\x00"

// newValidator adds to validator's own rules those of /v1. All but maxtotal
// work on strings:
//
//	roomname     what models.ValidRoomName allows
//	printable    printable characters only (spaces among them)
//	cleantext    no control characters but tab and line breaks
//	line         no control characters, so one line
//	notblank     something besides white space
//	region       lower-case letters, digits and hyphens, as clouds name regions
//	origin       a web origin as RFC 6454 writes it: scheme://host[:port]
//	utf8         well-formed UTF-8, for what did not come as JSON
//	uncommon     not a password that everybody tries first (utils/passwords)
//	maxbytes=N   at most N bytes, where max=N counts characters
//	maxtotal=N   of a map of strings: at most N bytes of names and values in all
//
// A secret.Value is checked by its text.
func newValidator() *validator.Validate {
	v := validator.New(validator.WithRequiredStructEnabled())
	v.RegisterTagNameFunc(func(f reflect.StructField) string {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if name == "" && f.Anonymous {
			return embedded
		}
		return name
	})
	v.RegisterCustomTypeFunc(func(field reflect.Value) any {
		return field.Interface().(secret.Value).Reveal()
	}, secret.Value{})
	known := passwords.New()
	for tag, holds := range map[string]func(text, param string) bool{
		"roomname":  func(text, _ string) bool { return models.ValidRoomName(text) },
		"printable": func(text, _ string) bool { return every(text, unicode.IsPrint) },
		"cleantext": func(text, _ string) bool { return every(text, clean) },
		"line":      func(text, _ string) bool { return every(text, func(r rune) bool { return !unicode.IsControl(r) }) },
		"notblank":  func(text, _ string) bool { return strings.TrimSpace(text) != "" },
		"region":    func(text, _ string) bool { return every(text, inRegion) },
		"origin":    func(text, _ string) bool { return isOrigin(text) },
		"utf8":      func(text, _ string) bool { return utf8.ValidString(text) },
		"uncommon":  func(text, _ string) bool { return !known.Common(text) },
		"maxbytes": func(text, param string) bool {
			most, err := strconv.Atoi(param)
			return err == nil && len(text) <= most
		},
	} {
		rule := func(level validator.FieldLevel) bool { return holds(level.Field().String(), level.Param()) }
		if err := v.RegisterValidation(tag, rule); err != nil {
			panic(err) // an empty or reserved name
		}
	}
	if err := v.RegisterValidation("maxtotal", func(level validator.FieldLevel) bool {
		most, err := strconv.Atoi(level.Param())
		return err == nil && total(level.Field()) <= most
	}); err != nil {
		panic(err) // as above
	}
	return v
}

func every(text string, allowed func(rune) bool) bool {
	return strings.IndexFunc(text, func(r rune) bool { return !allowed(r) }) < 0
}

// total counts the bytes of a map's names and values.
func total(texts reflect.Value) int {
	sum := 0
	for pair := texts.MapRange(); pair.Next(); {
		sum += pair.Key().Len() + pair.Value().Len()
	}
	return sum
}

func inRegion(r rune) bool {
	return 'a' <= r && r <= 'z' || '0' <= r && r <= '9' || r == '-'
}

func isOrigin(text string) bool {
	u, err := url.Parse(text)
	return err == nil && (u.Scheme == "https" || u.Scheme == "http") && u.Host != "" &&
		u.Scheme+"://"+u.Host == text
}

func clean(r rune) bool {
	return r == '\t' || r == '\n' || r == '\r' || !unicode.IsControl(r)
}

// Validate checks the rules of a struct's validate tags and gives those broken,
// by the fields' JSON names below "body". The mistake of passing something
// that is no struct panics.
func (d *Decoder) Validate(v any) []models.FieldError {
	err := d.validate.Struct(v)
	if err == nil {
		return nil
	}
	broken, ok := errors.AsType[validator.ValidationErrors](err)
	if !ok {
		panic(err)
	}
	out := make([]models.FieldError, 0, min(len(broken), MaxErrors))
	for _, rule := range broken[:cap(out)] {
		out = append(out, models.FieldError{Location: location(rule), Message: message(rule)})
	}
	return out
}

// surelyValid tells that a struct breaks no rule, or that it may. validator
// allocates for every field it is shown; most requests set few of those they
// could, and this shows it those alone. Reasons are left to Validate.
func (d *Decoder) surelyValid(o *object, v reflect.Value) bool {
	if o.elsewhere {
		return false
	}
	for _, f := range o.ruled {
		value := v.FieldByIndex(f.index)
		switch {
		case f.shape != shapeStruct:
			if !(f.optional && value.IsZero()) && d.validate.Var(value.Interface(), f.rule) != nil {
				return false
			}
		case f.rule != "":
			return false
		case f.pointer && value.IsNil():
		case !d.surelyValid(f.object, reflect.Indirect(value)):
			return false
		}
	}
	return true
}

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

// message says in plain words what a rule asks for; locations come first, so
// that the two read as one sentence.
func message(rule validator.FieldError) string {
	param := rule.Param()
	switch rule.Tag() {
	case "required", "required_with", "required_without", "required_if", "required_unless":
		return "is required"
	case "excluded_with", "excluded_without", "excluded_if", "excluded_unless":
		return "must not be given together with what else is given"
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
	case "email":
		return "must be an e-mail address"
	case "oneof":
		return "must be one of: " + strings.Join(strings.Fields(param), ", ")
	case "unique":
		return "must not hold anything twice"
	case "roomname":
		return `must be 1 to 128 printable characters, none of / \ { }`
	case "printable":
		return "must hold printable characters only"
	case "line":
		return "must be one line without control characters"
	case "notblank":
		return "must not be blank"
	case "region":
		return "must be lower-case letters, digits and hyphens"
	case "origin":
		return "must be an origin such as https://app.example.com"
	case "cleantext":
		return "must not hold control characters"
	case "uncommon":
		return "is one of the passwords that everybody tries first; choose another"
	case "utf8":
		return "must be valid UTF-8"
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

// amount says a rule's number in the unit its field is counted in.
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
