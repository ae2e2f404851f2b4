"""A profile of hypothesis for `make mutants`: one failing example kills a mutant, however large it is."""

from hypothesis import Phase, settings

settings.register_profile("mutants", settings.get_profile("brief"), phases=[Phase.explicit, Phase.generate])
