package tenancy

import (
	"context"
	_ "embed"
	"encoding/base64"
	"errors"
	"io"
	"strings"
	"text/template"
	"time"

	"pulse-control-plane/database"
	"pulse-control-plane/models"
	"pulse-control-plane/services/audit"
	"pulse-control-plane/services/auth"
	"pulse-control-plane/services/paging"
	"pulse-control-plane/utils/cursor"
	"pulse-control-plane/utils/hashing"
	"pulse-control-plane/utils/intent"
	"pulse-control-plane/utils/required"
	"pulse-control-plane/utils/secret"
)

//go:embed invitation.txt
var invitationText string

// Mail is a plain-text mail to one address.
type Mail struct {
	To, Subject, Text string
	// From is the organization on whose behalf it is sent, "" for none.
	From models.OrganizationID
}

// Mailer sends mails. Send returns nil once a server has accepted the mail,
// otherwise unavailable.
type Mailer interface {
	Send(ctx context.Context, m Mail) error
}

// Invitations invites people to organizations.
type Invitations struct {
	c    InvitationsConfig
	text *template.Template
}

// InvitationsConfig of NewInvitations.
type InvitationsConfig struct {
	Invitations   *database.Invitations
	Organizations *database.Organizations
	Users         *database.Users
	Members       *Members
	// Hasher hashes the password of a new member; Sessions logs them in.
	Hasher   *hashing.Hasher
	Sessions *auth.LoginSessions
	Cursors  *cursor.Codec
	// Trail records every change.
	Trail *audit.Trail
	Now   func() time.Time
	// Mailer sends the invitations; nil returns their tokens to the inviter.
	Mailer Mailer `optional:"true"`
	// AcceptURL is the page that mails link to, with "#token=" and the token
	// appended, so that no server logs it; "" puts the token itself into mails.
	AcceptURL string
}

// NewInvitations builds the service. It fails if a required field is missing.
func NewInvitations(c InvitationsConfig) (*Invitations, error) {
	text, err := template.New("invitation").Parse(invitationText)
	return &Invitations{c: c, text: text}, errors.Join(err, required.Fields(c))
}

// InvitationInput is an invitation to be created.
type InvitationInput struct {
	Email string
	Role  models.Role
}

// Invited is a new invitation. Token is zero when it went out by mail.
type Invited struct {
	Invitation models.Invitation
	Token      secret.Value
}

// Create invites an email address and replaces an open invitation to it. Inviting
// an owner requires the role owner. conflict already_member, too_many_invitations.
//
// The mail is sent before anything is stored: if sending fails, the error is
// unavailable (mail_not_sent), an earlier invitation still works, and the caller
// can retry.
func (s *Invitations) Create(ctx context.Context, actor *models.Principal, id models.OrganizationID, in InvitationInput) (out Invited, err error) {
	if err := actor.May(models.ActionInvitationsWrite); err != nil {
		return Invited{}, err
	}
	if in.Role == models.RoleOwner {
		if err := actor.May(models.ActionOwnersWrite); err != nil {
			return Invited{}, err
		}
	}
	org, err := s.c.Organizations.Get(ctx, actor.Tenant(), id)
	if err != nil {
		return Invited{}, err
	}
	if out, err := s.invitedBefore(ctx, id); !models.IsKind(err, models.KindNotFound) {
		return out, err
	}
	now, email := s.c.Now(), models.FoldEmail(in.Email)
	if err := s.mayInvite(ctx, id, email, now); err != nil {
		return Invited{}, err
	}
	token := newAcceptToken(ctx)
	out = Invited{Token: token, Invitation: models.Invitation{
		ID: models.InvitationID(intent.ID(ctx, models.InvitationPrefix)), OrgID: id, Email: email, Role: in.Role,
		TokenHash: secret.Digest(token.Reveal()), InvitedBy: actor.UserID, PendingKey: models.PendingKeyOf(id, email),
		CreatedAt: now, ExpiresAt: now.Add(models.InvitationTTL),
	}}
	entry, err := s.c.Trail.Begin(ctx, actor, audit.Event{
		OrgID: id, Action: "invitation.created", Type: "invitation", ID: string(out.Invitation.ID), After: map[string]any{"email": email, "role": in.Role},
	})
	if err != nil {
		return Invited{}, err
	}
	defer entry.End(ctx, &err)
	if s.c.Mailer != nil {
		if err := s.send(ctx, actor, &org, &out); err != nil {
			return Invited{}, err
		}
		out.Token = secret.Value{}
	}
	err = s.c.Trail.Reapply(ctx, "", func(ctx context.Context) error {
		if err := s.c.Invitations.Replace(ctx, out.Invitation.PendingKey); err != nil {
			return err
		}
		err := s.c.Invitations.Insert(ctx, &out.Invitation)
		if models.HasCode(err, "invitation_pending") {
			return database.ErrChangedSince()
		}
		return err
	})
	return out, err
}

// invitedBefore returns the invitation that an earlier attempt of the same request
// stored; not_found if none did.
func (s *Invitations) invitedBefore(ctx context.Context, id models.OrganizationID) (Invited, error) {
	if !intent.Resumed(ctx) {
		return Invited{}, models.NotFound()
	}
	made, err := s.c.Invitations.Get(ctx, id, models.InvitationID(intent.ID(ctx, models.InvitationPrefix)))
	out := Invited{Invitation: made}
	if s.c.Mailer == nil {
		out.Token = newAcceptToken(ctx)
	}
	return out, err
}

// mayInvite refuses existing members and more invitations than the bound.
func (s *Invitations) mayInvite(ctx context.Context, id models.OrganizationID, email string, now time.Time) error {
	// An account of the address in another organization is not disclosed.
	if user, err := s.c.Users.ByEmail(ctx, email); err == nil && user.OrgID == id {
		return models.Conflict("already_member", "This person is already a member.")
	} else if err != nil && !models.IsKind(err, models.KindNotFound) {
		return err
	}
	open, err := s.c.Invitations.CountPending(ctx, id, now, models.MaxPendingInvitations)
	if err == nil && open >= models.MaxPendingInvitations {
		return models.Conflict("too_many_invitations", "Too many invitations are open; revoke some first.")
	}
	return err
}

func (s *Invitations) send(ctx context.Context, actor *models.Principal, org *models.Organization, i *Invited) error {
	inviter := ""
	if actor.Kind == models.CallerPerson {
		user, err := s.c.Users.Get(ctx, actor.Tenant(), actor.UserID)
		if err != nil {
			return err
		}
		inviter = models.AddressInText(user.Email, "A member")
	}
	link := ""
	if s.c.AcceptURL != "" {
		link = s.c.AcceptURL + "#token=" + i.Token.Reveal()
	}
	var text strings.Builder
	if err := s.text.Execute(&text, map[string]any{
		"Inviter": inviter, "Organization": inMail(org.Name), "Role": string(i.Invitation.Role), "Link": link,
		"Token": i.Token.Reveal(), "Email": models.AddressInText(i.Invitation.Email, "the reader of this mail"), "ExpiresAt": i.Invitation.ExpiresAt,
	}); err != nil {
		return models.Internal(err)
	}
	err := s.c.Mailer.Send(ctx, Mail{
		To: i.Invitation.Email, Subject: "You are invited to " + inMail(org.Name) + " on Pulse", Text: text.String(), From: org.ID,
	})
	if models.IsKind(err, models.KindUnavailable) {
		return models.NewError(models.KindUnavailable, "mail_not_sent",
			"The mail could not be sent, so no invitation was created; try again.").Because(err)
	}
	return err
}

// List reads a page of an organization's open invitations.
func (s *Invitations) List(ctx context.Context, actor *models.Principal, id models.OrganizationID, p paging.Request) (paging.Page[models.Invitation], error) {
	if err := actor.May(models.ActionInvitationsRead); err != nil {
		return paging.Page[models.Invitation]{}, err
	}
	if _, err := s.c.Organizations.Get(ctx, actor.Tenant(), id); err != nil {
		return paging.Page[models.Invitation]{}, err
	}
	return paging.ByID(s.c.Cursors, actor, "invitations|"+string(id), p, func(at database.Page) ([]models.Invitation, error) {
		return s.c.Invitations.List(ctx, id, s.c.Now(), at)
	}, func(i models.Invitation) string { return string(i.ID) })
}

// Revoke ends an open invitation.
func (s *Invitations) Revoke(ctx context.Context, actor *models.Principal, org models.OrganizationID, id models.InvitationID) (err error) {
	if err := actor.May(models.ActionInvitationsWrite); err != nil {
		return err
	}
	if _, err := s.c.Organizations.Get(ctx, actor.Tenant(), org); err != nil {
		return err
	}
	entry, err := s.c.Trail.Begin(ctx, actor, audit.Event{
		OrgID: org, Action: "invitation.revoked", Type: "invitation", ID: string(id),
	})
	if err != nil {
		return err
	}
	defer entry.End(ctx, &err)
	return s.c.Invitations.Revoke(ctx, org, id, s.c.Now())
}

// newAcceptToken is a token of 256 random bits.
func newAcceptToken(ctx context.Context) secret.Value {
	var random [32]byte
	io.ReadFull(intent.Random(ctx, "invitation"), random[:]) //nolint:errcheck // neither reader fails or ends
	return secret.New(base64.RawURLEncoding.EncodeToString(random[:]))
}
