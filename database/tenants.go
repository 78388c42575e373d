package database

import (
	"errors"

	"go.mongodb.org/mongo-driver/v2/bson"

	"pulse-control-plane/models"
)

// errNoTenant is a query without a tenant: a bug in Pulse, never an error of
// the caller.
var errNoTenant = errors.New("query without a tenant")

// ofOrganization is the tenant part of a filter on documents with an org_id.
func ofOrganization(t models.Tenant) (bson.D, error) {
	org, all := t.Organization()
	switch {
	case all:
		return bson.D{}, nil
	case org == "":
		return nil, models.Internal(errNoTenant)
	}
	return bson.D{{Key: "org_id", Value: string(org)}}, nil
}

// ofProject is the tenant part of a filter on documents with the project in the
// given field: the tenant of an API key is one project.
func ofProject(t models.Tenant, field string) (bson.D, error) {
	filter, err := ofOrganization(t)
	if err != nil {
		return nil, err
	}
	if project := t.Project(); project != "" {
		filter = append(filter, bson.E{Key: field, Value: string(project)})
	}
	return filter, nil
}
