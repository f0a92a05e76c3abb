using Blanket.Core.Events;

namespace Blanket.Core.Domains;

public sealed partial class Domain
{
    /// <summary>Its event channels; null until <see cref="CreateEventChannels"/>, and for the built-in services.</summary>
    public EventChannels? Events { get; private set; }

    /// <summary>Gives it event channels; in an allocation scope of its arena, before any of its vCPUs runs.</summary>
    /// <param name="maximumPort">Highest port that it may use (max_event_channels of xl.cfg(5)).</param>
    public void CreateEventChannels(uint maximumPort = EventChannels.DefaultMaximumPort) => Events = new EventChannels(this, maximumPort);
}
