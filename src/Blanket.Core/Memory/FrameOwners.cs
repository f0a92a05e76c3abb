using Blanket.Core.Domains;

namespace Blanket.Core.Memory;

/// <summary>The domains that may own frames, by domain id: what FrameInfo.Owner refers to.</summary>
public static class FrameOwners
{
    private const int LeafBits = 7;
    private const int LeafSize = 1 << LeafBits;

    // Enough for a machine whose guests come and go while some stay: the audits before and after them count the same.
    private const int FirstLeaves = 4;

    /// <summary>Bytes that <see cref="CreateEntry"/> takes of the arena at most.</summary>
    public const int ObjectSize = 2 << 10;

    // Two levels: domain ids go up to 0x7fff, and few are in use. Ids are given out in turn, so a leaf without domains moves to where the next
    // domain comes: there are never more leaves than ids in use at one time need.
    private static Domain?[]?[]? s_owners;
    private static byte[]? s_domainsOfLeaf;

    /// <summary>Leaves that exist.</summary>
    internal static int Leaves { get; private set; }

    /// <summary>Starts with no domain; once at boot, in an allocation scope.</summary>
    public static void Initialize()
    {
        s_owners = new Domain?[]?[(0x7fff >> LeafBits) + 1];
        s_domainsOfLeaf = new byte[s_owners.Length];
        for (Leaves = 0; Leaves < FirstLeaves; Leaves++)
        {
            s_owners[Leaves] = new Domain?[LeafSize];
        }
    }

    /// <summary>Makes a domain known; in an allocation scope of the hypervisor's own arena, under the lock of the domain table.</summary>
    public static void CreateEntry(Domain domain)
    {
        int index = domain.Id >> LeafBits;
        Domain?[]? leaf = s_owners![index];
        if (leaf == null)
        {
            leaf = TakeEmptyLeaf();
            if (leaf == null)
            {
                leaf = new Domain?[LeafSize];
                Leaves++;
            }

            s_owners[index] = leaf;
        }

        Machine.Check.That(leaf[domain.Id & (LeafSize - 1)] == null);
        leaf[domain.Id & (LeafSize - 1)] = domain;
        s_domainsOfLeaf![index]++;
    }

    private static Domain?[]? TakeEmptyLeaf()
    {
        for (int i = 0; i < s_owners!.Length; i++)
        {
            Domain?[]? leaf = s_owners[i];
            if (leaf != null && s_domainsOfLeaf![i] == 0)
            {
                s_owners[i] = null;
                return leaf;
            }
        }

        return null;
    }

    /// <summary>Forgets a domain that owns no frame any more.</summary>
    public static void Remove(Domain domain)
    {
        Machine.Check.That(domain.OwnsNoFrames);
        int index = domain.Id >> LeafBits;
        Machine.Check.That(Find(domain.Id) == domain);
        s_owners![index]![domain.Id & (LeafSize - 1)] = null;
        s_domainsOfLeaf![index]--;
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

        // Who reads without a lock may hold a leaf that has just moved to other ids.
        Domain?[]? leaf = owners[index];
        Domain? domain = leaf == null ? null : leaf[id & (LeafSize - 1)];
        return domain != null && domain.Id == id ? domain : null;
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
