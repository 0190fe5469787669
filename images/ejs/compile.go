package ejs

import (
	"bytes"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"unicode/utf8"

	"github.com/dop251/goja"
	"github.com/dop251/goja/parser"
)

// program is a template compiled to JavaScript. It never changes and can be
// run by many runtimes at once.
type program struct {
	name string
	js   *goja.Program
	// prototypes is the first line of code that gets hold of a prototype; 0
	// if none does.
	prototypes int
	// texts are the parts of the template that are printed as they are,
	// bytes that need not be UTF-8.
	texts [][]byte
	// lines gives for each line of the JavaScript, from 0, its line in the
	// template.
	lines []int
	// textLines are the lines of the JavaScript, from 0, that print a text.
	textLines map[int]bool
	// prints are the expressions of the <%= tags, for errors.
	prints []string
}

// The functions that compiled templates call.
const (
	textFunc  = "__ejs_text"
	printFunc = "__ejs_print"
)

// compiler turns one template into JavaScript.
type compiler struct {
	prog *program
	js   strings.Builder
	rest []byte // what is left of the template
	line int    // the template's line at rest
}

// compile turns a template into a program. Errors are of type [*Error].
func compile(name string, template []byte) (*program, error) {
	c := &compiler{prog: &program{name: name, lines: []int{1}, textLines: map[int]bool{}}, rest: template, line: 1}
	if len(template) > maxTemplate {
		return nil, c.fail(0, "is %d bytes long, which is more than the %d allowed", len(template), maxTemplate)
	}
	for len(c.rest) > 0 {
		c.text()
		if len(c.rest) == 0 {
			break
		}
		if err := c.tag(); err != nil {
			return nil, err
		}
	}
	ast, err := parser.ParseFile(nil, name, c.js.String(), 0, parser.WithDisableSourceMaps)
	if err != nil {
		return nil, c.syntax(err)
	}
	c.prog.js, err = goja.CompileAST(ast, false)
	if err != nil {
		return nil, c.syntax(err)
	}
	return c.prog, nil
}

func (c *compiler) fail(line int, format string, args ...any) error {
	return &Error{Template: c.prog.name, Line: line, Reason: fmt.Sprintf(format, args...)}
}

// syntax turns an error of the JavaScript into one of the template.
func (c *compiler) syntax(err error) error {
	var list parser.ErrorList
	var compile *goja.CompilerSyntaxError
	switch {
	case errors.As(err, &list) && len(list) > 0:
		return c.fail(c.prog.templateLine(list[0].Position.Line), "%s", explain(list[0].Message))
	case errors.As(err, &compile) && compile.File != nil:
		return c.fail(c.prog.templateLine(compile.File.Position(compile.Offset).Line), "%s", compile.Message)
	}
	return c.fail(0, "%v", err)
}

// explain adds to the parser's words where they alone do not help.
func explain(message string) string {
	if message == "Unexpected end of input" {
		return "the template ends within a block or a bracket that is still open"
	}
	return message
}

// templateLine maps a line of the JavaScript, from 1, to the template's.
func (p *program) templateLine(line int) int {
	if line < 1 {
		return 0
	}
	return p.lines[min(line, len(p.lines))-1]
}

// busyLine is templateLine for a program that was interrupted. A loop's jump
// has no line of its own and counts as part of what stands before it; a text
// by itself keeps nobody busy, so the line meant is the one after it.
func (p *program) busyLine(line int) int {
	for p.textLines[line-1] {
		line++
	}
	return p.templateLine(line)
}

// prototypes matches code that gets hold of what all values of a kind share.
var prototypes = regexp.MustCompile(`(?i)proto|constructor`)

// emit writes JavaScript of the compiler's own, on a line of its own.
func (c *compiler) emit(line int, js string) {
	c.prog.lines[len(c.prog.lines)-1] = line
	c.js.WriteString(js)
	c.js.WriteByte('\n')
	c.prog.lines = append(c.prog.lines, line)
}

// code writes JavaScript of the template's, which begins at a line of it.
func (c *compiler) code(line int, js string) {
	for part := range strings.SplitSeq(js, "\n") {
		if c.prog.prototypes == 0 && prototypes.MatchString(part) {
			c.prog.prototypes = line
		}
		c.emit(line, part)
		line++
	}
}

// text takes what comes before the next tag and has it printed.
func (c *compiler) text() {
	var out []byte
	line := c.line
	for len(c.rest) > 0 {
		i := bytes.IndexByte(c.rest, '%')
		if i < 0 {
			out, c.rest = append(out, c.rest...), nil
			break
		}
		switch {
		case bytes.HasPrefix(c.rest[i:], []byte("%%>")):
			out, c.rest = append(append(out, c.rest[:i]...), "%>"...), c.rest[i+3:]
		case i > 0 && c.rest[i-1] == '<' && bytes.HasPrefix(c.rest[i:], []byte("%%")):
			out, c.rest = append(append(out, c.rest[:i]...), '%'), c.rest[i+2:]
		case i > 0 && c.rest[i-1] == '<':
			c.print(line, append(out, c.rest[:i-1]...))
			c.rest = c.rest[i-1:]
			return
		default:
			out, c.rest = append(out, c.rest[:i+1]...), c.rest[i+1:]
		}
	}
	c.print(line, out)
}

func (c *compiler) print(line int, text []byte) {
	c.line += bytes.Count(text, []byte("\n"))
	if len(text) == 0 {
		return
	}
	c.prog.textLines[len(c.prog.lines)-1] = true
	c.emit(line, fmt.Sprintf("%s(%d);", textFunc, len(c.prog.texts)))
	c.prog.texts = append(c.prog.texts, text)
}

// tag takes one tag, which rest begins with.
func (c *compiler) tag() error {
	opened := c.line
	body, next, ok := closing(c.rest[2:])
	if !ok {
		return c.fail(opened, "<%% is never closed: %%> is missing")
	}
	c.rest = next
	c.line += bytes.Count(body, []byte("\n"))
	if eats := bytes.HasSuffix(body, []byte("-")); eats {
		body = body[:len(body)-1]
		c.eatNewline()
	}
	if bytes.HasPrefix(body, []byte("#")) {
		return nil
	}
	if !utf8.Valid(body) {
		return c.fail(opened, "the tag holds bytes that are not UTF-8")
	}
	js := strings.ReplaceAll(strings.ReplaceAll(string(body), "%%>", "%>"), "\r\n", "\n")
	switch {
	case strings.HasPrefix(js, "="):
		return c.expression(opened, js[1:])
	case strings.HasPrefix(js, "-"):
		return c.fail(opened, "<%%- is not EmbeddedJS: <%%= prints without escaping")
	}
	c.code(opened, js)
	return nil
}

// closing finds the end of a tag: %>, where %%> is none.
func closing(rest []byte) (body, next []byte, ok bool) {
	from := 0
	for {
		i := bytes.Index(rest[from:], []byte("%>"))
		if i < 0 {
			return nil, nil, false
		}
		if i += from; i > 0 && rest[i-1] == '%' {
			from = i + 2
			continue
		}
		return rest[:i], rest[i+2:], true
	}
}

// eatNewline leaves out the end of the line that follows the tag.
func (c *compiler) eatNewline() {
	c.rest = bytes.TrimPrefix(c.rest, []byte("\r"))
	if bytes.HasPrefix(c.rest, []byte("\n")) {
		c.rest = c.rest[1:]
		c.line++
	}
}

// member matches an expression that reads a property by its name, the case
// in which an error can tell what other names there are.
var member = regexp.MustCompile(`^([A-Za-z_$][\w$]*(?:\.[A-Za-z_$][\w$]*|\[\d+\])*)\.[A-Za-z_$][\w$]*$`)

// expression has the value of a JavaScript expression printed.
func (c *compiler) expression(line int, js string) error {
	name := strings.TrimSpace(js)
	if name == "" {
		return c.fail(line, "<%%= prints nothing: an expression is missing")
	}
	owner := ""
	if m := member.FindStringSubmatch(name); m != nil {
		owner = ", function () { return " + m[1] + "; }"
	}
	c.emit(line, fmt.Sprintf("%s(%d, (", printFunc, len(c.prog.prints)))
	c.code(line, js)
	c.emit(c.line, ")"+owner+");")
	c.prog.prints = append(c.prog.prints, name)
	return nil
}
