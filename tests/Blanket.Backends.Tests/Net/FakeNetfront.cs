using System;
using System.Collections.Generic;
using System.Linq;
using System.Runtime.InteropServices;
using Blanket.Abi.Xen.Io;
using Blanket.Machine;

namespace Blanket.Backends.Tests;

/// <summary>A packet that the guest received.</summary>
internal sealed record ReceivedPacket(byte[] Bytes, NetifReceiveFlags Flags, NetifExtraInfo? Large, bool HasError);

/// <summary>A network frontend, honest unless told otherwise.</summary>
internal sealed class FakeNetfront
{
    private readonly TestGuest _guest;
    private readonly string _directory;
    private readonly List<Queue> _queues = new();

    internal FakeNetfront(TestGuest guest, uint device)
    {
        _guest = guest;
        _directory = $"{guest.Home}/device/vif/{device}";
    }

    internal string BackendDirectory => _guest.Machine.Read($"{_directory}/backend")!;

    internal int BackendState => int.Parse(_guest.Machine.Read($"{BackendDirectory}/state")!);

    internal List<Queue> Queues => _queues;

    internal string? BackendNode(string name) => _guest.Machine.Read($"{BackendDirectory}/{name}");

    internal void Write(string name, string value) => _guest.Machine.Write($"{_directory}/{name}", value);

    internal void SetState(int state)
    {
        Write("state", state.ToString());
        _guest.Machine.Settle();
    }

    /// <summary>Connects as netfront does.</summary>
    internal void Connect(int queues = 1, bool split = true, bool features = true, int buffers = 200)
    {
        Prepare(queues, split, features);
        SetState(4);
        Assert.Equal(4, BackendState);
        foreach (Queue queue in _queues)
        {
            queue.Offer(buffers);
        }
    }

    internal void Prepare(int queues = 1, bool split = true, bool features = true)
    {
        _queues.Clear();
        for (int i = 0; i < queues; i++)
        {
            Queue queue = new(_guest, split);
            _queues.Add(queue);
            string prefix = queues > 1 ? $"queue-{i}/" : "";
            Write(prefix + "tx-ring-ref", queue.Transmit.References[0].ToString());
            Write(prefix + "rx-ring-ref", queue.Receive.References[0].ToString());
            if (split)
            {
                Write(prefix + "event-channel-tx", queue.Transmit.Port.ToString());
                Write(prefix + "event-channel-rx", queue.Receive.Port.ToString());
            }
            else
            {
                Write(prefix + "event-channel", queue.Transmit.Port.ToString());
            }
        }

        Write("multi-queue-num-queues", queues.ToString());
        Write("request-rx-copy", "1");
        foreach (string feature in new[] { "feature-rx-notify", "feature-sg", "feature-gso-tcpv4", "feature-gso-tcpv6", "feature-ipv6-csum-offload" })
        {
            Write(feature, features ? "1" : "0");
        }

        Write("feature-no-csum-offload", features ? "0" : "1");
    }

    internal sealed class Queue
    {
        private readonly TestGuest _guest;
        private readonly Dictionary<uint, (ulong Frame, uint Reference)> _offered = new();
        private readonly Dictionary<ushort, (ulong Frame, uint Reference)> _sending = new();
        private ushort _nextId;

        internal Queue(TestGuest guest, bool split)
        {
            _guest = guest;
            Transmit = new FrontRing(guest, 1, Netif.TransmitEntrySize);
            Receive = new FrontRing(guest, 1, Netif.ReceiveEntrySize, split ? null : Transmit.Port);
        }

        internal FrontRing Transmit { get; }

        internal FrontRing Receive { get; }

        internal int Sending => _sending.Count;

        /// <summary>Offers pages to receive into.</summary>
        internal void Offer(int count)
        {
            for (int i = 0; i < count && Receive.Free > 0; i++)
            {
                ulong frame = _guest.NewFrame();
                OfferGrant(_guest.Grant(frame), frame);
            }

            Receive.Push();
        }

        internal void OfferGrant(uint reference, ulong frame)
        {
            uint slot = Receive.RequestProducer % (uint)Receive.Entries;
            _offered[slot] = (frame, reference);
            NetifReceiveRequest request = new() { Id = (ushort)slot, Reference = reference };
            Receive.PutRequest(MemoryMarshal.AsBytes(new ReadOnlySpan<NetifReceiveRequest>(in request)));
        }

        /// <summary>Puts a packet into the ring in pieces of at most some size; each has a page of its own.</summary>
        internal void Put(byte[] packet, NetifTransmitFlags flags = 0, NetifExtraInfo? large = null, int piece = 4096, int offset = 0)
        {
            for (int done = 0; done < packet.Length;)
            {
                int length = Math.Min(Math.Min(piece, 4096 - offset), packet.Length - done);
                bool isFirst = done == 0;
                NetifTransmitFlags own = isFirst ? flags | (large != null ? NetifTransmitFlags.ExtraInfo : 0) : 0;
                if (done + length < packet.Length)
                {
                    own |= NetifTransmitFlags.MoreData;
                }

                ulong frame = _guest.NewFrame();
                packet.AsSpan(done, length).CopyTo(PhysicalMemory.Frame(frame)[offset..]);
                uint reference = _guest.Grant(frame, readOnly: true);
                PutSlot(reference, frame, (ushort)offset, own, (ushort)(isFirst ? packet.Length : length));
                if (isFirst && large is NetifExtraInfo info)
                {
                    PutExtra(info);
                }

                done += length;
            }
        }

        internal void PutSlot(uint reference, ulong frame, ushort offset, NetifTransmitFlags flags, ushort size)
        {
            ushort id = _nextId++;
            _sending[id] = (frame, reference);
            NetifTransmitRequest request = new() { Reference = reference, Offset = offset, Flags = flags, Id = id, Size = size };
            Transmit.PutRequest(MemoryMarshal.AsBytes(new ReadOnlySpan<NetifTransmitRequest>(in request)));
        }

        internal void PutExtra(NetifExtraInfo extra)
        {
            byte[] entry = new byte[Netif.TransmitEntrySize];
            MemoryMarshal.Write(entry, in extra);
            Transmit.PutRequest(entry);
        }

        /// <summary>Takes the answers: pages that were answered must not be in use. Returns the statuses without those of extra-info slots.</summary>
        internal List<short> TakeAnswers()
        {
            List<short> statuses = new();
            foreach (byte[] entry in Transmit.TakeResponses())
            {
                NetifTransmitResponse response = MemoryMarshal.Read<NetifTransmitResponse>(entry);
                if (response.Status == Netif.Null)
                {
                    continue;
                }

                Assert.True(_sending.Remove(response.Id, out (ulong Frame, uint Reference) page));
                if (page.Frame != 0)
                {
                    Assert.True(_guest.EndGrant(page.Reference));
                    _guest.FreeFrame(page.Frame);
                }

                statuses.Add(response.Status);
            }

            return statuses;
        }

        /// <summary>Takes received packets, as netfront puts them together.</summary>
        internal List<ReceivedPacket> Take()
        {
            List<ReceivedPacket> packets = new();
            uint consumer = Receive.ResponseConsumer;
            List<byte[]> responses = Receive.TakeResponses();
            for (int i = 0; i < responses.Count;)
            {
                NetifReceiveResponse first = MemoryMarshal.Read<NetifReceiveResponse>(responses[i]);
                NetifExtraInfo? large = null;
                List<byte> bytes = new();
                bool hasError = TakeSlot(consumer, first, bytes);
                i++;
                consumer++;
                if ((first.Flags & NetifReceiveFlags.ExtraInfo) != 0)
                {
                    large = MemoryMarshal.Read<NetifExtraInfo>(responses[i]);
                    Drop(consumer);
                    i++;
                    consumer++;
                }

                NetifReceiveResponse last = first;
                while ((last.Flags & NetifReceiveFlags.MoreData) != 0)
                {
                    last = MemoryMarshal.Read<NetifReceiveResponse>(responses[i]);
                    hasError |= TakeSlot(consumer, last, bytes);
                    i++;
                    consumer++;
                }

                packets.Add(new ReceivedPacket(bytes.ToArray(), first.Flags & (NetifReceiveFlags)3, large, hasError));
            }

            return packets;
        }

        private bool TakeSlot(uint index, NetifReceiveResponse response, List<byte> bytes)
        {
            Assert.Equal(index % (uint)Receive.Entries, response.Id);
            if (response.Status >= 0)
            {
                bytes.AddRange(PhysicalMemory.Frame(_offered[response.Id].Frame).Slice(response.Offset, response.Status));
            }

            Drop(index);
            return response.Status < 0;
        }

        private void Drop(uint index)
        {
            (ulong frame, uint reference) = _offered[index % (uint)Receive.Entries];
            if (frame != 0)
            {
                Assert.True(_guest.EndGrant(reference));
                _guest.FreeFrame(frame);
            }
        }
    }
}
