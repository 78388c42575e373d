package database

import (
	"errors"

	"go.mongodb.org/mongo-driver/v2/bson"

	"pulse-control-plane/models"
)

// errNoTenant marks a query that would have been asked for nobody: a fault of
// ours, never of the caller.
var errNoTenant = errors.New("query without a tenant")

// ofOrganization is the tenant part of a filter over documents that name their
// organization in org_id.
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

// ofProject is the tenant part of a filter over documents that name their
// project in the field given: a key's tenant is its project alone.
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
