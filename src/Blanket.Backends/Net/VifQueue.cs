namespace Blanket.Backends;

/// <summary>A pair of rings of a vif.</summary>
internal sealed class VifQueue
{
    private readonly EventLink _shared;
    private readonly EventLink _transmitOnly;
    private readonly EventLink _receiveOnly;

    internal VifQueue(BackendBus bus, VifDevice vif, NetworkSwitch owner)
    {
        Transmit = new VifTransmit(bus, vif, owner);
        Receive = new VifReceive(bus, vif, owner);
        _shared = new EventLink(bus, Transmit, Receive);
        _transmitOnly = new EventLink(bus, Transmit);
        _receiveOnly = new EventLink(bus, Receive);
    }

    internal VifTransmit Transmit { get; }

    internal VifReceive Receive { get; }

    /// <summary>Starts on the rings that both halves have attached to.</summary>
    /// <param name="vif">The device.</param>
    /// <param name="transmitPort">The frontend's event channel of the transmit ring.</param>
    /// <param name="receivePort">That of the receive ring; may be the same.</param>
    /// <returns>0 or a negative errno.</returns>
    internal int Start(VifDevice vif, uint transmitPort, uint receivePort)
    {
        bool isShared = transmitPort == receivePort;
        EventLink transmit = isShared ? _shared : _transmitOnly;
        EventLink receive = isShared ? _shared : _receiveOnly;
        int error = transmit.Bind(vif.Domain, transmitPort);
        if (error == 0 && !isShared)
        {
            error = receive.Bind(vif.Domain, receivePort);
        }

        if (error == 0)
        {
            Receive.Start(receive);
            Transmit.Start(transmit);
        }

        return error;
    }

    internal void BeginDetach()
    {
        Transmit.BeginDetach();
        Receive.BeginDetach();
    }

    /// <summary>Lets go of rings and ports. False while packets are on their way.</summary>
    internal bool TryFinishDetach()
    {
        if (!Transmit.IsDrained || !Receive.IsDrained)
        {
            return false;
        }

        _shared.Close();
        _transmitOnly.Close();
        _receiveOnly.Close();
        return Transmit.TryFinishDetach() && Receive.TryFinishDetach();
    }

    internal void EndBurst()
    {
        Receive.KickIfNeeded();
        Transmit.KickIfNeeded();
    }
}
