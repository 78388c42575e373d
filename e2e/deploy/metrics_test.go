package deploy_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/common/model"
	"github.com/prometheus/common/promslog"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/rulefmt"
	"github.com/prometheus/prometheus/promql/parser"
)

func ruleGroups(t *testing.T) []rulefmt.RuleGroup {
	t.Helper()
	file, errs := rulefmt.ParseFile(rulesFile, false, model.UTF8Validation, parser.NewParser(parser.Options{}), promslog.NewNopLogger())
	if errs != nil {
		t.Fatal(errs)
	}
	return file.Groups
}

// panel is what is read of Grafana's panels.
type panel struct {
	ID      int
	Type    string
	Title   string
	GridPos struct{ H, W, X, Y int }
	Targets []struct {
		RefID string
		Expr  string
	}
}

func board(t *testing.T) (panels []panel, variables []string) {
	t.Helper()
	text, err := os.ReadFile("../../deploy/grafana/pulse.json")
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Title, UID    string
		SchemaVersion int
		Panels        []panel
		Templating    struct{ List []struct{ Name string } }
	}
	if err := json.Unmarshal(text, &file); err != nil {
		t.Fatal(err)
	}
	if file.Title == "" || file.UID == "" || file.SchemaVersion == 0 {
		t.Errorf("the board has no title, uid or version of its schema: %+v", file)
	}
	for _, v := range file.Templating.List {
		variables = append(variables, v.Name)
	}
	return file.Panels, variables
}

// expressions are those of the alerts and of the board, by where they are.
func expressions(t *testing.T) map[string]string {
	t.Helper()
	all := map[string]string{}
	for _, group := range ruleGroups(t) {
		for _, r := range group.Rules {
			all["alert "+r.Alert] = r.Expr
		}
	}
	panels, _ := board(t)
	for _, p := range panels {
		for _, target := range p.Targets {
			all["panel "+p.Title+" "+target.RefID] = strings.NewReplacer("$__rate_interval", "5m", "$instance", ".*").Replace(target.Expr)
		}
	}
	return all
}

func TestTheBoardsPanelsHaveExpressionsAndDoNotOverlap(t *testing.T) {
	panels, variables := board(t)
	if len(panels) < 20 || !slices.Contains(variables, "datasource") || !slices.Contains(variables, "instance") {
		t.Fatalf("%d panels, variables %v", len(panels), variables)
	}
	cells, ids := map[[2]int]string{}, map[int]bool{}
	for _, p := range panels {
		if ids[p.ID] || p.Title == "" || p.Type != "row" && len(p.Targets) == 0 {
			t.Errorf("%+v has another's id, no title or no expression", p)
		}
		ids[p.ID] = true
		for x := p.GridPos.X; x < p.GridPos.X+p.GridPos.W; x++ {
			for y := p.GridPos.Y; y < p.GridPos.Y+p.GridPos.H; y++ {
				if other := cells[[2]int{x, y}]; other != "" || x >= 24 {
					t.Fatalf("%s overlaps %q or the edge", p.Title, other)
				}
				cells[[2]int{x, y}] = p.Title
			}
		}
	}
}

// scraped reads /metrics: the labels of its series, and the text.
func scraped(url string) (all []labels.Labels, text string, err error) {
	res, err := http.Get(url + "/metrics")
	if err != nil {
		return nil, "", err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		return nil, "", err
	}
	p := parser.NewParser(parser.Options{})
	for line := range strings.Lines(string(body)) {
		line = strings.TrimSpace(line)
		end := strings.LastIndexByte(line, ' ')
		if strings.HasPrefix(line, "#") || end < 0 {
			continue
		}
		series, err := p.ParseMetric(line[:end])
		if err != nil {
			return nil, "", fmt.Errorf("%s: %w", line, err)
		}
		all = append(all, series)
	}
	if len(all) < 100 {
		return nil, "", fmt.Errorf("%s: %d series", res.Status, len(all))
	}
	return all, string(body), nil
}

// unknown names the selectors of an expression that no series matches. Prometheus
// itself adds the labels job and instance, and the metric up.
func unknown(expression string, series []labels.Labels) error {
	parsed, err := parser.NewParser(parser.Options{}).ParseExpr(expression)
	if err != nil {
		return err
	}
	var missing []error
	parser.Inspect(parsed, func(node parser.Node, _ []parser.Node) error {
		selector, ok := node.(*parser.VectorSelector)
		if !ok || selector.Name == "up" {
			return nil
		}
		if !slices.ContainsFunc(series, func(s labels.Labels) bool {
			return !slices.ContainsFunc(selector.LabelMatchers, func(m *labels.Matcher) bool {
				return m.Name != "job" && m.Name != "instance" && !m.Matches(s.Get(m.Name))
			})
		}) {
			missing = append(missing, fmt.Errorf("no series is %s", selector))
		}
		return nil
	})
	return errors.Join(missing...)
}

func TestAlertsAndBoardNameMetricsAndLabelsOfTheRealBinary(t *testing.T) {
	redis, err := exec.LookPath("redis-server")
	if err != nil {
		t.Fatalf("%v: install redis-server", err)
	}
	port := freePort(t)
	runs(t, redis, "--save", "", "--appendonly", "no", "--bind", "127.0.0.1", "--port", fmt.Sprint(port))
	url, _ := serves(t, fmt.Sprintf("REDIS_URL=redis://127.0.0.1:%d", port), "METRICS_PROJECTS=true")
	tenant(t, url)
	var last []labels.Labels
	// The alert PulseShardsUnheld names the numbers of shards.
	shards := map[string]string{"inbox": "8", "deliveries": "16"}
	eventually(t, "every selector matches", func() error {
		series, text, err := scraped(url)
		if err != nil {
			return err
		}
		last = series
		var missing []error
		for work, count := range shards {
			if want := fmt.Sprintf("pulse_shards_held{work=%q} %s\n", work, count); !strings.Contains(text, want) {
				missing = append(missing, errors.New(want))
			}
		}
		for where, expression := range expressions(t) {
			if err := unknown(expression, series); err != nil {
				missing = append(missing, fmt.Errorf("%s: %w", where, err))
			}
		}
		return errors.Join(missing...)
	})

	if err := unknown(`pulse_inbox_events_total{result="nonsense"}`, last); err == nil {
		t.Error("a label value that the binary does not have is not noticed")
	}
}
