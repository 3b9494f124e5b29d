from django import template

from journeys.domain.vocabulary import label, phrase

register = template.Library()

register.filter("label", label)
register.filter("phrase", phrase)
