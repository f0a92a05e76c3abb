using System;
using Blanket.Abi.Xen.Io;

namespace Blanket.TestKernel;

/// <summary>A frontend of a vif (io/netif.h) with one queue and one event channel.</summary>
internal unsafe ref struct NetFrontend
{
    /// <summary>Its grants and its event channel.</summary>
    internal Frontend Device;

    /// <summary>Its transmit ring.</summary>
    internal FrontRing Transmit;

    /// <summary>Its receive ring.</summary>
    internal FrontRing Receive;

    private ushort _nextId;

    /// <summary>Finds a vif.</summary>
    /// <param name="directory">Such as <c>device/vif/0</c>.</param>
    /// <param name="vif">Its frontend.</param>
    internal static bool TryFind(ReadOnlySpan<byte> directory, out NetFrontend vif)
    {
        vif = default;
        return Frontend.TryFind(directory, out vif.Device);
    }

    /// <summary>Connects with new rings.</summary>
    internal bool Connect()
    {
        if (!Device.Begin())
        {
            return false;
        }

        Page transmit = Page.Take();
        Page receive = Page.Take();
        Transmit = new FrontRing(transmit, Netif.TransmitEntrySize);
        Receive = new FrontRing(receive, Netif.ReceiveEntrySize);
        Device.AllocatePort();
        Device.Write("tx-ring-ref"u8, Device.Grant(transmit));
        Device.Write("rx-ring-ref"u8, Device.Grant(receive));
        Device.Write("event-channel"u8, Device.Port);
        Device.Write("request-rx-copy"u8, 1);
        Device.Write("feature-rx-notify"u8, 1);
        Device.SetState(XenbusState.Connected);
        return Device.Await(XenbusState.Connected);
    }

    /// <summary>Puts in a slot of a packet.</summary>
    internal void PutSlot(uint reference, ushort offset, ushort size, NetifTransmitFlags flags = NetifTransmitFlags.None)
    {
        NetifTransmitRequest* request = (NetifTransmitRequest*)Transmit.Put();
        request->Reference = reference;
        request->Offset = offset;
        request->Size = size;
        request->Flags = flags;
        request->Id = ++_nextId;
    }

    /// <summary>Puts in a slot of extra information.</summary>
    internal void PutExtra(byte type, byte flags, ushort gsoSize, byte gsoType)
    {
        NetifExtraInfo* extra = (NetifExtraInfo*)Transmit.Put();
        extra->Type = type;
        extra->Flags = flags;
        extra->GsoSize = gsoSize;
        extra->GsoType = gsoType;
    }

    /// <summary>Shows the backend what was put in and waits for the answers of so many slots.</summary>
    /// <returns>The status of the last one; 2 when one is missing.</returns>
    internal long Send(int slots)
    {
        Transmit.Publish();
        Device.Notify();
        long status = 2;
        for (int i = 0; i < slots; i++)
        {
            NetifTransmitResponse* response = (NetifTransmitResponse*)Transmit.Take();
            if (response == null)
            {
                return 2;
            }

            status = response->Status;
        }

        return status;
    }

    /// <summary>Sends a packet of one slot.</summary>
    internal long SendOne(uint reference, ushort offset, ushort size, NetifTransmitFlags flags = NetifTransmitFlags.None)
    {
        PutSlot(reference, offset, size, flags);
        return Send(1);
    }

    /// <summary>Offers a page to receive into.</summary>
    internal void Offer(uint reference)
    {
        NetifReceiveRequest* request = (NetifReceiveRequest*)Receive.Put();
        request->Id = (ushort)reference;
        request->Reference = reference;
        Receive.Publish();
        Device.Notify();
    }
}
