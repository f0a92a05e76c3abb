namespace Blanket.Abi.Xen.Io;

/// <summary>State of either half of a PV device: <c>enum xenbus_state</c> of io/xenbus.h, written in decimal to the node "state".</summary>
public enum XenbusState : uint
{
    /// <summary>No state: the node is missing or unreadable.</summary>
    Unknown = 0,

    /// <summary>Being set up.</summary>
    Initialising = 1,

    /// <summary>Waiting for information from the peer.</summary>
    InitWait = 2,

    /// <summary>Waiting for the peer to connect.</summary>
    Initialised = 3,

    /// <summary>In use.</summary>
    Connected = 4,

    /// <summary>Being closed, because of an error or an unplug.</summary>
    Closing = 5,

    /// <summary>Closed.</summary>
    Closed = 6,

    /// <summary>Being reconfigured.</summary>
    Reconfiguring = 7,

    /// <summary>Has been reconfigured.</summary>
    Reconfigured = 8,
}
