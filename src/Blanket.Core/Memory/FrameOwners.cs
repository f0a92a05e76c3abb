using Blanket.Core.Domains;

namespace Blanket.Core.Memory;

/// <summary>The domains that may own frames, by domain id: what FrameInfo.Owner refers to.</summary>
public static class FrameOwners
{
    private const int LeafBits = 7;
    private const int LeafSize = 1 << LeafBits;

    // Two levels: domain ids go up to 0x7fff, and few are in use.
    private static Domain?[]?[]? s_owners;

    /// <summary>Starts with no domain; once at boot, in an allocation scope.</summary>
    public static void Initialize() => s_owners = new Domain?[]?[(0x7fff >> LeafBits) + 1];

    /// <summary>Makes a domain known; in an allocation scope of the hypervisor's own arena, under the lock of the domain table.</summary>
    public static void CreateEntry(Domain domain)
    {
        Domain?[]? leaf = s_owners![domain.Id >> LeafBits];
        if (leaf == null)
        {
            leaf = new Domain?[LeafSize];
            s_owners[domain.Id >> LeafBits] = leaf;
        }

        leaf[domain.Id & (LeafSize - 1)] = domain;
    }

    /// <summary>Forgets a domain that owns no frame any more.</summary>
    public static void Remove(Domain domain)
    {
        Machine.Check.That(domain.OwnsNoFrames);
        s_owners![domain.Id >> LeafBits]![domain.Id & (LeafSize - 1)] = null;
    }

    /// <summary>The domain with an id; null where there is none.</summary>
    public static Domain? Find(ushort id)
    {
        Domain?[]?[]? owners = s_owners;
        int index = id >> LeafBits;
        if (owners == null || index >= owners.Length)
        {
            return null;
        }

        Domain?[]? leaf = owners[index];
        return leaf == null ? null : leaf[id & (LeafSize - 1)];
    }

    /// <summary>The domain with the lowest id that is not below <paramref name="id"/>; null when there is none.</summary>
    internal static Domain? FindFrom(int id)
    {
        for (; id <= 0x7fff; id++)
        {
            Domain? domain = Find((ushort)id);
            if (domain != null)
            {
                return domain;
            }
        }

        return null;
    }

    /// <summary>The owner of a frame on which a reference is held.</summary>
    internal static Domain Of(in Machine.FrameInfo info)
    {
        Domain? owner = Find(info.Owner);
        if (owner == null)
        {
            Machine.Check.Fail();
        }

        return owner;
    }
}
