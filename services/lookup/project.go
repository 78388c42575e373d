package lookup

import (
	"context"

	"pulse-control-plane/models"
)

// Projects reads a project of a tenant.
type Projects interface {
	Get(ctx context.Context, tenant models.Tenant, id models.ProjectID) (models.Project, error)
}

// Project returns the project a caller acts on: a key its own, a person or the
// operator the one they name. Errors: forbidden if the caller may not do the
// action, not_found for a project of another tenant, invalid project_id if a
// person names none.
func Project(ctx context.Context, projects Projects, actor *models.Principal, action models.Action, named models.ProjectID) (models.Project, error) {
	if err := actor.May(action); err != nil {
		return models.Project{}, err
	}
	if actor.Project != nil {
		if named != "" && named != actor.Project.ID {
			return models.Project{}, models.NotFound()
		}
		return *actor.Project, nil
	}
	if named == "" {
		return models.Project{}, models.Invalid(models.FieldError{Location: "project_id",
			Message: "is required for a person or the operator"})
	}
	return projects.Get(ctx, actor.Tenant(), named)
}
