using Blanket.Core.Domains;

namespace Blanket.Core.Grants;

/// <summary>Grants in the teardown of a domain.</summary>
public static class GrantTeardown
{
    /// <summary>Releases the domain's mappings of other domains' grants, after its page tables are gone; call until it returns true.</summary>
    public static bool TryReleaseMappings(Domain domain) => domain.Grants == null || GrantMappings.TryReleaseAll(domain);
}
