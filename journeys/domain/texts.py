"""The published texts of the actions, for the two who may read one: the customer, and the account's owner.

An action that has a text for customers is sent as an e-mail, or becomes its owner's task where there is no
address. Texts for customers say only what the playbook's reason bears out, and never speak of scores.
"""

from .vocabulary import Action

# Each placeholder with what it stands for. No other name may stand in a template; the policy refuses it.
PLACEHOLDERS: dict[str, str] = {
    "customer_id": "the customer's id",
    "customer_name": "the customer's name",
    "owner_name": "the name of the account's owner",
    "stage": "the journey stage, in words",
    "days_in_state": "whole days in that stage",
}

_SIGNATURE = "\n\nBest regards,\n${owner_name}"
_WHERE = "Customer: ${customer_name} (${customer_id})\nStage: ${stage}\nDays in this stage: ${days_in_state}"


def _mail(subject: str, *paragraphs: str) -> dict[str, str]:
    return {"subject": subject, "body": "Hello,\n\n" + "\n\n".join(paragraphs) + _SIGNATURE}


def _task(title: str, *paragraphs: str) -> dict[str, str]:
    return {"subject": title, "body": "\n\n".join((_WHERE, *paragraphs))}


PUBLISHED_TEXTS: dict[Action, dict[str, dict[str, str]]] = {
    Action.ONBOARDING_SPECIALIST_CALL: {
        "to_owner": _task(
            "Arrange an onboarding specialist's call with ${customer_name}",
            "A step of their set-up has failed. Find out which one, and have an onboarding specialist call"
            " them to finish it together.",
            "Close this task once the call has taken place, and note what was in the way.",
        ),
    },
    Action.ONBOARDING_NUDGE_EMAIL: {
        "to_customer": _mail(
            "A small next step for ${customer_name}",
            "Getting started with something new takes time, and there is usually plenty else to do. A good"
            " next step is to bring in one real piece of your daily work and try it out with two or three "
            "colleagues.",
            "If you would like company on the way, reply to this message. We are glad to help.",
        ),
        "to_owner": _task(
            "Encourage ${customer_name} to take the next onboarding step",
            "They use the product little so far. Get in touch, ask what they want to achieve first, and "
            "suggest one small next step.",
        ),
    },
    Action.PROACTIVE_OUTREACH: {
        "to_customer": _mail(
            "Can we make getting started easier for ${customer_name}?",
            "It looks as if getting started has not gone as smoothly as it should. We are sorry about "
            "that, and would like to put it right.",
            "What is in your way at the moment? A reply in a few words is enough, or name a time and we "
            "will call you.",
        ),
        "to_owner": _task(
            "Ask ${customer_name} what is in their way",
            "Support tickets or their tone suggest that onboarding is not going well. Read the latest "
            "tickets first, then get in touch, ask what is in the way and agree on who mends it, and by "
            "when.",
        ),
    },
    Action.ONBOARDING_CHECKIN: {
        "to_customer": _mail(
            "How is the start going at ${customer_name}?",
            "We would like to hear how the first weeks are going for you. Is there anything you expected "
            "to find and did not, or a question that has stayed open?",
            "Just reply to this message, and we will take it from there.",
        ),
        "to_owner": _task(
            "Ask ${customer_name} how onboarding is going",
            "Get in touch, ask what is still open in their set-up, and agree on the next step.",
        ),
    },
    Action.USAGE_REVIEW_CHECKIN: {
        "to_customer": _mail(
            "Shall we look at how the team is getting on?",
            "We noticed that ${customer_name} has used the product less of late than before. "
            "There may be a good reason. If something is in the way, we would like to go through it with "
            "you.",
            "Would half an hour this week or next suit you?",
        ),
        "to_owner": _task(
            "Go through the usage with ${customer_name}",
            "Their use of the product has dropped. Look up which features or people it concerns, then "
            "offer a half-hour review and ask what has changed.",
        ),
    },
    Action.REENGAGEMENT_CAMPAIGN: {
        "to_customer": _mail(
            "Is there anything we can do for ${customer_name}?",
            "It has been rather quiet lately, so we wanted to ask how you are getting on. Perhaps your "
            "priorities have changed, or something does not work the way you need it.",
            "Tell us what would be useful to you, and we will show you the shortest way there.",
        ),
        "to_owner": _task(
            "Get back in touch with ${customer_name}",
            "They have been inactive. Find out whether people or priorities have changed on their side, "
            "and offer one concrete thing that is of use to them.",
        ),
    },
    Action.MONITOR_ONLY: {
        "to_owner": _task(
            "Keep an eye on ${customer_name}",
            "Their usage is recovering. Nothing is sent, and nothing needs to be done now.",
        ),
    },
    Action.ENGAGEMENT_CHECKIN: {
        "to_customer": _mail(
            "How is everything going at ${customer_name}?",
            "We would like to hear how you are getting on. What works well for you, and what would you "
            "like to work better?",
            "A few words in reply are enough. If you prefer to talk, name a time that suits you.",
        ),
        "to_owner": _task(
            "Check in with ${customer_name}",
            "They have been in this stage for some time without a clear next step. Ask what they want to "
            "achieve next, and what they need from us for it.",
        ),
    },
    Action.SUPPORT_MANAGER_FOLLOWUP: {
        "to_owner": _task(
            "Have a support manager follow up with ${customer_name}",
            "Tickets keep coming back, or they are not satisfied with our support. Go through the open and"
            " recent tickets with a support manager, who then contacts the customer with a plan and a "
            "date.",
            "Close this task once the customer has the plan.",
        ),
    },
    Action.ESCALATED_SUPPORT_REVIEW: {
        "to_owner": _task(
            "Bring the support case of ${customer_name} to a review",
            "Their tone has turned negative while they are in support. Gather the history of the case, "
            "review it with support and product today, and tell the customer yourself what happens next.",
            "Close this task once the customer has heard from you.",
        ),
    },
    Action.SUPPORT_FOLLOWUP: {
        "to_customer": _mail(
            "Is there anything still open for ${customer_name}?",
            "You have been in touch with our support team, and we would like to be sure that you got what "
            "you needed.",
            "If anything is still open, reply to this message and we will see to it.",
        ),
        "to_owner": _task(
            "Follow up with ${customer_name} after support",
            "Look up their latest tickets, ask whether everything has been solved, and see to what has not.",
        ),
    },
    Action.RENEWAL_HEALTH_CHECK: {
        "to_customer": _mail(
            "Looking ahead with ${customer_name}",
            "Before your renewal we would like to look back with you: what has been useful, what has been "
            "missing, and what you plan to do next.",
            "Would you have half an hour for this in the coming two weeks?",
        ),
        "to_owner": _task(
            "Hold a renewal health check with ${customer_name}",
            "They have shown interest in renewing. Go through their goals and what they use, settle open "
            "points, and agree on the way to the renewal.",
        ),
    },
    Action.RETENTION_CHECKIN: {
        "to_customer": _mail(
            "What would you like to do next at ${customer_name}?",
            "Thank you for having been with us for this long. We would like to hear whether the product "
            "still does what you need, and what you would change if you could.",
            "Reply whenever it suits you. We read every answer ourselves.",
        ),
        "to_owner": _task(
            "Check in with ${customer_name} about the long run",
            "Ask whether the product still serves their goals, who uses it now, and what would make it "
            "worth more to them.",
        ),
    },
    Action.GENERAL_CHECKIN: {
        "to_customer": _mail(
            "How can we help ${customer_name}?",
            "We would like to know how things stand, and whether there is anything you need from us at the"
            " moment.",
            "Reply to this message at any time, and we will look after it.",
        ),
        "to_owner": _task(
            "Check in with ${customer_name}",
            "No playbook fits their stage. Get in touch, ask how things stand and what they need from us.",
        ),
    },
}
