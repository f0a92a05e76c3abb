using System;
using System.Linq;
using Blanket.Abi;
using FsCheck;
using FsCheck.Fluent;
using FsCheck.Xunit;

namespace Blanket.Store.Tests;

/// <summary>Domains that write whatever they like into their interface page.</summary>
public class FuzzTests
{
    [Property(MaxTest = 60)]
    public Property PagesOfNoiseHurtNobodyElse() =>
        Prop.ForAll(Gen.Choose(0, int.MaxValue).ToArbitrary(), PlayNoise);

    [Property(MaxTest = 60)]
    public Property PagesThatChangeUnderTheStoreHurtNobodyElse() =>
        Prop.ForAll(Gen.Choose(0, int.MaxValue).ToArbitrary(), PlayRaces);

    [Property(MaxTest = 60)]
    public Property RequestsOfNoiseAreAnswered() =>
        Prop.ForAll(Gen.Choose(0, int.MaxValue).ToArbitrary(), PlayMalformedRequests);

    private static bool PlayNoise(int seed)
    {
        Random random = new(seed);
        StoreFixture fixture = new(frames: 1024);
        Guest victim = fixture.AddGuest(1);
        victim.Write("a", "mine");
        Guest hostile = fixture.AddGuest(2);
        for (int i = 0; i < 200; i++)
        {
            switch (random.Next(4))
            {
                case 0:
                    random.NextBytes(hostile.Ring.Page.AsSpan(random.Next(4000), 96));
                    break;
                case 1:
                    hostile.Ring[XenStoreWire.RequestConsumer + (4 * random.Next(7))] = (uint)random.Next(-3, 3);
                    break;
                case 2:
                    random.NextBytes(hostile.Ring.Page.AsSpan(0, 1024));
                    hostile.Ring[XenStoreWire.RequestProducer] = hostile.Ring[XenStoreWire.RequestConsumer] + (uint)random.Next(1025);
                    break;
                default:
                    hostile.Ring[XenStoreWire.Connection] = XenStoreWire.Reconnect;
                    break;
            }

            fixture.Store.RingNotified(2);
            fixture.Run();
        }

        return IsUnhurt(fixture, victim);
    }

    private static bool PlayRaces(int seed)
    {
        Random random = new(seed);
        StoreFixture fixture = new(frames: 1024);
        Guest victim = fixture.AddGuest(1);
        victim.Write("a", "mine");
        Guest hostile = fixture.AddGuest(2);
        hostile.Write("x", new string('x', 1500));
        hostile.Watch("x", "t");
        hostile.Ring.BeforeAccess = () =>
        {
            if (random.Next(8) == 0)
            {
                int offset = random.Next(3) == 0 ? random.Next(1023) * 4 : XenStoreWire.RequestConsumer + (4 * random.Next(7));
                hostile.Ring[offset] = random.Next(2) == 0 ? (uint)random.Next() : hostile.Ring[offset] + (uint)random.Next(40);
            }
        };
        for (int i = 0; i < 100; i++)
        {
            byte[] message = Guest.Build((uint)random.Next(24), (uint)i, 0, [.. "x\0"u8, .. new byte[random.Next(64)]]);
            uint producer = hostile.Ring[XenStoreWire.RequestProducer];
            for (int k = 0; k < message.Length; k++)
            {
                hostile.Ring.Page[(int)((producer + (uint)k) % 1024)] = message[k];
            }

            hostile.Ring[XenStoreWire.RequestProducer] = producer + (uint)message.Length;
            hostile.Ring[XenStoreWire.ResponseConsumer] = hostile.Ring[XenStoreWire.ResponseProducer];
            if (random.Next(5) == 0)
            {
                hostile.Ring[XenStoreWire.Connection] = XenStoreWire.Reconnect;
            }

            fixture.Store.RingNotified(2);
            fixture.Run();
        }

        hostile.Ring.BeforeAccess = null;
        return IsUnhurt(fixture, victim);
    }

    private static bool PlayMalformedRequests(int seed)
    {
        Random random = new(seed);
        StoreFixture fixture = new(frames: 1024);
        Guest victim = fixture.AddGuest(1);
        victim.Write("a", "mine");
        Guest hostile = fixture.AddGuest(2);
        string[] pieces = ["a", "/", "//", "\0", "@", "@releaseDomain", "/local/domain/2/", "n2", "r1", "T", "F", "0", "1", "4294967296", "-1", new string('q', 700)];
        uint transaction = 0;
        for (int i = 0; i < 150; i++)
        {
            string payload = string.Concat(Enumerable.Range(0, random.Next(6)).Select(_ => pieces[random.Next(pieces.Length)]));
            if (random.Next(4) > 0)
            {
                payload += "\0";
            }

            XenStoreMessage type = (XenStoreMessage)random.Next(26);
            Message reply = hostile.Request(type, payload, random.Next(3) == 0 ? transaction : 0);
            Assert.True(reply.Type == type || reply.Type == XenStoreMessage.Error);
            if (type == XenStoreMessage.TransactionStart && reply.Type == type)
            {
                transaction = uint.Parse(Guest.Text(reply.Payload).TrimEnd('\0'), System.Globalization.CultureInfo.InvariantCulture);
            }
        }

        return IsUnhurt(fixture, victim);
    }

    private static bool IsUnhurt(StoreFixture fixture, Guest victim)
    {
        Assert.Equal("mine", victim.Read("a"));
        Assert.Equal("OK", victim.Write("b", "still here"));
        Assert.Equal("n0", fixture.Domain0.GetPermissions("/"));
        Assert.Equal(["local", "tool"], fixture.Domain0.Directory("/").Trim().Split(' ').Order());
        Assert.Equal(XenStoreError.None, fixture.Store.DestroyDomain(2));
        Assert.Equal("1", fixture.Domain0.Directory("/local/domain").Trim());
        Assert.True(fixture.Store.IsSound);
        StoreUsage usage = fixture.Store.Usage;
        Assert.Equal(0, usage.Watches + usage.Transactions + usage.Events + usage.Requests);
        return true;
    }
}
