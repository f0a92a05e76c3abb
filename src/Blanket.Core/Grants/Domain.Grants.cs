using Blanket.Core.Grants;

namespace Blanket.Core.Domains;

public sealed partial class Domain
{
    /// <summary>Its grant table; null until <see cref="CreateGrantTable"/>, and for the built-in services.</summary>
    public GrantTable? Grants { get; private set; }

    /// <summary>Gives it a grant table of one frame; in an allocation scope of its arena, before any of its vCPUs runs.</summary>
    /// <param name="maximumFrames">max_grant_frames of xl.cfg(5).</param>
    /// <param name="maximumMapTrackFrames">max_maptrack_frames of xl.cfg(5); 0 for a guest that maps nobody's grants.</param>
    /// <param name="maximumVersion">max_grant_version of xl.cfg(5), 1 or 2.</param>
    /// <returns>False when there is no memory; the domain is to be destroyed then.</returns>
    public bool CreateGrantTable(
        int maximumFrames = GrantTable.DefaultMaximumFrames,
        int maximumMapTrackFrames = GrantTable.DefaultMaximumMapTrackFrames,
        int maximumVersion = 2)
    {
        Grants = new GrantTable(this, maximumFrames, maximumMapTrackFrames, maximumVersion);
        return Grants.TryGrow(1);
    }
}
