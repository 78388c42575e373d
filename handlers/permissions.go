package handlers

import (
	"net/http"

	"github.com/gin-gonic/gin"

	"pulse-control-plane/models"
)

// Permissions lists who may do what.
type Permissions struct {
	Roles       []models.Role `json:"roles"`
	Permissions []Permission  `json:"permissions"`
}

// Permission lists the callers allowed to do one action.
type Permission struct {
	Action models.Action `json:"action"`
	// Roles is empty if no person may.
	Roles     []models.Role `json:"roles"`
	Operator  bool          `json:"operator"`
	ServerKey bool          `json:"server_key"`
	ClientKey bool          `json:"client_key"`
	// Scope is the scope a key needs, or null.
	Scope *models.Scope `json:"scope"`
}

// Permissions returns the table, which is the same for all callers.
func (h *Auth) Permissions(c *gin.Context) error {
	out := Permissions{Roles: models.Roles()}
	for _, action := range models.Actions() {
		rule := models.RuleOf(action)
		row := Permission{Action: action, Roles: []models.Role{}, Operator: rule.Operator,
			ServerKey: rule.ServerKey, ClientKey: rule.ClientKey}
		for _, role := range models.Roles() {
			if rule.Person != "" && role.AtLeast(rule.Person) {
				row.Roles = append(row.Roles, role)
			}
		}
		if rule.Scope != "" {
			row.Scope = &rule.Scope
		}
		out.Permissions = append(out.Permissions, row)
	}
	return answer(c, http.StatusOK, out)
}
