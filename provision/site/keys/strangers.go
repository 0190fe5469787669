package keys

import (
	"errors"
	"maps"
	"slices"

	"cloudlets/images/jsontext"
	"cloudlets/provision"
)

// maxRules bounds the rules for strangers.
const maxRules = 1000

// strangersField reads what happens to machines that no file describes.
func strangersField(dst *Settings, n *jsontext.Node) jsontext.Problems {
	problems := decodeObject(&dst.Strangers, n, strangersFields())
	if len(problems) == 0 && dst.Strangers.Image == "" && len(dst.Strangers.Rules) > 0 {
		problems = jsontext.Problems{n.Problem(`it has rules and no "image": strangers are inspected by the kernel and drivers of an image, so name one`)}
	}
	return problems
}

func strangersFields() fields[provision.Strangers] {
	return fields[provision.Strangers]{
		"description": description[provision.Strangers](),
		"image": textField(func(s *provision.Strangers, name string) error {
			var spec provision.Spec
			err := setImage(&spec, name)
			s.Image = spec.Image
			return err
		}).says("The image whose kernel and drivers inspect a stranger.", `""`, `"debian-12"`),
		"rules": valueField("list of objects", rulesField).with(ruleFields().inList()).says("Who is approved without a person: the first rule that matches counts.", `[]`, `[{"when": {"product": "PowerEdge R640", "switch": "sw3"}, "profile": "web", "name": "r3-{port}"}]`),
	}
}

func ruleFields() fields[provision.Rule] {
	return fields[provision.Rule]{
		"description": description[provision.Rule](),
		"when":        whenField(func(r *provision.Rule) *provision.Conditions { return &r.When }),
		"profile":     plainText(func(r *provision.Rule) *string { return &r.Profile }).says("The profile that the machine's file extends.", `""`, `"web"`),
		"image":       plainText(func(r *provision.Rule) *string { return &r.Image }).says("The machine's image.", `""`, `"debian-12"`),
		"name": textField(func(r *provision.Rule, pattern string) error {
			r.Hostname = pattern
			return provision.CheckNamePattern(pattern)
		}).says("The machine's name, with what is found in it in braces; {n} is the first number that is free.", `""`, `"r3-{port}"`),
	}
}

func rulesField(dst *provision.Strangers, n *jsontext.Node) (problems jsontext.Problems) {
	if !n.IsArray() {
		return Wants(n, "a list […] of rules")
	}
	if len(n.Elements()) > maxRules {
		return jsontext.Problems{n.Problem("there may be at most %d rules", maxRules)}
	}
	for _, element := range n.Elements() {
		var rule provision.Rule
		wrong := decodeObject(&rule, element, ruleFields())
		if len(wrong) == 0 {
			wrong = refused(element, checkRule(rule))
		}
		problems = append(problems, wrong...)
		dst.Rules = append(dst.Rules, rule)
	}
	return problems
}

// checkRule refuses a rule that would approve anybody, or without saying as what.
func checkRule(r provision.Rule) error {
	switch {
	case len(r.When) == 0:
		return errors.New(`"when" is missing: a rule without it would approve every stranger; {"mac": "*"} says that this is meant`)
	case r.Profile == "" && r.Image == "":
		return errors.New(`it has neither "profile" nor "image", so that the machine would get nothing`)
	}
	return nil
}

// whenField reads patterns by the names of what is found in a machine.
func whenField[T any](to func(*T) *provision.Conditions) field[T] {
	return valueField("object of texts or numbers", func(dst *T, n *jsontext.Node) (problems jsontext.Problems) {
		*to(dst), problems = readConditions(n)
		return problems
	}).says("Patterns by what is found in a machine, all of which must match; * stands for any text.", "", `{"product": "PowerEdge*", "disks": 2}`)
}

func readConditions(n *jsontext.Node) (when provision.Conditions, problems jsontext.Problems) {
	if !n.IsObject() {
		return nil, Wants(n, "an object {…} with patterns")
	}
	known := slices.Sorted(maps.Keys(provision.Inspection{}.Attributes()))
	when = make(provision.Conditions)
	for _, m := range n.Members() {
		text, ok := m.Value.Text()
		if number, is := m.Value.Number(); is {
			text, ok = number.String(), true
		}
		switch {
		case !slices.Contains(known, m.Name):
			problems = append(problems, m.Place().Problem("%q is nothing that is found in a machine%s; there are %s", m.Name, jsontext.DidYouMean(m.Name, known), wordList(known)))
		case !ok:
			problems = append(problems, Wants(m.Value, "a number, or a text in quotes, in which * stands for any text")...)
		default:
			when[m.Name] = text
		}
	}
	return when, problems
}
