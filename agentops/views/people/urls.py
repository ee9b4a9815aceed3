"""Addresses of the settings of people, below ``/settings/``."""

from __future__ import annotations

from django.urls import include, path
from django.views.generic import RedirectView

from agentops.views import account
from agentops.views.people import escalation, everybody, notifications, own, policies

urlpatterns = [
    path("", RedirectView.as_view(pattern_name="profile"), name="settings"),
    path("profile/", own.profile, name="profile"),
    path("password/", account.Password.as_view(), name="password"),
    # Before allauth's own, which would take away the last one.
    path(
        "security/webauthn/keys/<int:pk>/remove/",
        account.RemoveKey.as_view(),
        name="key-remove",
    ),
    path("security/", include("allauth.mfa.urls")),
    path("sessions/", own.sessions, name="sessions"),
    path("sessions/others/end/", own.end_other_sessions, name="sessions-end"),
    path("sessions/<int:number>/end/", own.end_session, name="session-end"),
    path("tokens/", own.own_tokens, name="tokens"),
    path("tokens/<str:public_id>/revoke/", own.revoke, name="token-revoke"),
    path("delegations/", own.delegate, name="delegations"),
    path("delegations/<str:public_id>/take-back/", own.take_back, name="delegation-take-back"),
    path("notifications/", notifications.notifications, name="notifications"),
    path("notifications/test/", notifications.send_test, name="notifications-test"),
    path("escalation/", escalation.overview, name="escalation"),
    path("escalation/chains/new/", escalation.chain, name="chain-new"),
    path("escalation/chains/<int:number>/", escalation.chain, name="chain"),
    path("escalation/chains/<int:number>/drop/", escalation.drop_chain, name="chain-drop"),
    path(
        "escalation/chains/<int:number>/back/<int:version>/",
        escalation.go_back,
        name="chain-back",
    ),
    path("escalation/rotas/new/", escalation.rota, name="rota-new"),
    path("escalation/rotas/<int:number>/", escalation.rota, name="rota"),
    path("escalation/rotas/<int:number>/drop/", escalation.drop_rota, name="rota-drop"),
    path("members/", everybody.people, name="members"),
    path("members/new/", everybody.new_person, name="member-new"),
    path("members/<int:number>/", everybody.person, name="member"),
    path("members/<int:number>/leave/", everybody.leave, name="member-leave"),
    path("members/<int:number>/return/", everybody.come_back, name="member-return"),
    path("members/<int:number>/password/", everybody.reset_password, name="member-password"),
    path("members/<int:number>/factors/", everybody.forget_factors, name="member-factors"),
    path("members/<int:number>/tokens/", everybody.service_token, name="member-tokens"),
    path(
        "members/<int:number>/tokens/<str:public_id>/revoke/",
        everybody.revoke_service_token,
        name="member-token-revoke",
    ),
    path("teams/", everybody.add_team, name="teams"),
    path("services/", everybody.services, name="services"),
    path("services/new/", everybody.new_service, name="service-new"),
    path("policies/", policies.rules_now, name="policies"),
    path("policies/edit/", policies.edit, name="policy-edit"),
    path("policies/save/", policies.save, name="policy-save"),
    path("policies/versions/<int:number>/", policies.version, name="policy-version"),
    path("policies/proposals/<int:number>/agree/", policies.agree, name="policy-agree"),
    path("policies/proposals/<int:number>/refuse/", policies.refuse, name="policy-refuse"),
]
