using Blanket.Core.Domains;
using Blanket.Core.Events;

namespace Blanket.Backends;

/// <summary>An event channel of a guest and the workers that its events wake.</summary>
internal sealed class EventLink : ServiceChannelHandler
{
    private readonly BackendBus _bus;
    private readonly SerialWorker _worker;
    private readonly SerialWorker? _second;
    private ServiceChannel _channel;

    /// <summary>Bound to nothing.</summary>
    /// <param name="bus">The machine's backends.</param>
    /// <param name="worker">What events wake.</param>
    /// <param name="second">What they wake too.</param>
    internal EventLink(BackendBus bus, SerialWorker worker, SerialWorker? second = null)
    {
        _bus = bus;
        _worker = worker;
        _second = second;
    }

    /// <summary>Binds a port of a guest.</summary>
    /// <returns>0 or a negative errno.</returns>
    internal int Bind(Domain guest, uint port) => ServiceChannels.TryBind(guest, port, this, out _channel);

    /// <summary>Sends the guest an event, if a port is bound.</summary>
    internal void Notify() => _channel.Notify();

    /// <summary>Unbinds.</summary>
    internal void Close()
    {
        _channel.Close();
        _channel = default;
    }

    /// <inheritdoc/>
    public override void Raised()
    {
        _bus.CheckAbandoned();
        _worker.Kick();
        if (_second != null)
        {
            _second.Kick();
        }
    }
}
